"""Reading weights far under their size: headers first, then only the byte ranges that are needed."""
