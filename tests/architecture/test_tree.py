"""Names, lengths and addresses: what no linter looks at."""

import re
import subprocess

BANNED = {"utils", "common", "helpers", "manager", "base2", "misc"}
MAX_LINES = 400
# written apart, so that this file does not hold what it looks for
REGISTRY_HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "yarnpkg" + ".com",
                  "unpkg" + ".com", "jsdelivr" + ".net", "cdnjs" + ".com", "crates" + ".io", "docker" + ".io",
                  "ghcr" + ".io", "quay" + ".io", "proxy.golang" + ".org", "deb.debian" + ".org"]  # fmt: skip
TEXT = {".py", ".md", ".toml", ".txt", ".cfg", ".ini", ".json", ".js", ".ts", ".tsx", ".css", ".html", ".yml", ".yaml",
        ".sh", ".proto", ".mjs", ".cjs", ""}  # fmt: skip


def files(root):
    """Files of the project: known to git, or new and not ignored; all of them where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        skipped = {".venv", ".dev", "node_modules", ".git", "static", "dist"}
        return [path for path in root.rglob("*") if path.is_file() and not skipped & set(path.relative_to(root).parts)]
    return [root / name for name in listed.stdout.splitlines() if (root / name).is_file()]


def python_files(root):
    return [path for path in files(root) if path.suffix == ".py" and "_gen" not in path.parts]


def test_no_module_has_a_name_that_says_nothing(root):
    found = [path for path in python_files(root) if path.stem in BANNED or path.parent.name in BANNED]
    assert found == []


def test_no_file_is_longer_than_a_reader_s_patience(root):
    long = {
        str(path.relative_to(root)): lines
        for path in python_files(root)
        if "templates" not in path.parts and (lines := path.read_text().count("\n")) > MAX_LINES
    }
    assert long == {}, f"over {MAX_LINES} lines: make a package of the same name"


def test_no_address_of_a_package_registry_is_anywhere(root):
    pattern = re.compile("|".join(re.escape(host) for host in REGISTRY_HOSTS))
    found = {
        str(path.relative_to(root)): match[0]
        for path in files(root)
        if path.suffix in TEXT and (match := pattern.search(path.read_text(errors="replace")))
    }
    assert found == {}


def test_lock_files_hold_hashes_and_no_addresses(root):
    for name in ("dev", "run", "build", "uv"):
        text = (root / f"requirements/{name}.txt").read_text()
        assert "://" not in text
        pins = re.findall(r"^[a-z0-9][^\s=]*==\S+", text, re.MULTILINE)
        assert pins
        assert len(pins) == len(re.findall(r"^[a-z0-9].*\\\n\s+--hash=sha256:", text, re.MULTILINE))


def test_what_runs_is_locked_alike_for_development(root):
    def pins(name):
        return set(
            re.findall(r"^([a-z0-9][^\s=]*==[^\s;]+)", (root / f"requirements/{name}.txt").read_text(), re.MULTILINE)
        )

    assert pins("run") <= pins("dev")
    assert pins("build") <= pins("dev")


def test_the_web_lock_file_holds_no_addresses(root):
    lock = root / "web/package-lock.json"
    if lock.exists():
        text = lock.read_text()
        assert '"resolved"' not in text
        assert '"integrity"' in text


def test_no_rule_is_silenced_without_saying_which(root):
    silent = re.compile(r"#\s*(noqa(?!:)|type: ignore(?!\[))")
    found = [path for path in python_files(root) if path.name != "test_tree.py" and silent.search(path.read_text())]
    assert found == []
