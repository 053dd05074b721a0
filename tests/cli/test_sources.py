from __future__ import annotations

from pathlib import Path

import pytest

from cli import sources
from cli.errors import BadInput
from cli.reading import assign, problems_of, read_policy, read_release
from workflows.errors import Problem, SpecError

GOOD = """\
apiVersion: headgate.dev/v1
kind: Release
metadata: {name: shop}
spec:
  environment: test
  version: v1
  components:
    - name: shop
      workload:
        kind: process
        service: shop
      traffic: {kind: envoy, route: shop}
      strategy:
        kind: canary
        stages:
          - {weight: 5}
      drain: 10s
"""


BOMB = "x0: &a0 [" + "1," * 100 + "]\n" + "".join(f"x{n}: &a{n} [" + f"*a{n - 1}," * 100 + "]\n" for n in range(1, 4))


def problems(text: str) -> list[Problem]:
    return [problem for source in sources.parse(text, "a.yaml") for problem in problems_of(source)]


def refusal(text: str | bytes, tmp_path: Path) -> Problem:
    file = tmp_path / "a.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as refused:
        sources.read(file)
    return refused.value.problems[0]


def test_a_right_document_has_no_problem() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "path"),
    [
        ("{weight: 5}", "{weight: 500}", 16, "spec.components[0].strategy.stages[0].weight"),
        ("drain: 10s", "drain: 10", 17, "spec.components[0].drain"),
        ("kind: canary", "kind: canary\n        stagess: 1", 15, "spec.components[0].strategy.stagess"),
        ("version: v1", "version: 1.10", 6, "spec.version"),
        ("metadata: {name: shop}", "metadata: {name: Shop}", 3, "metadata.name"),
        ("kind: Release", "kind: Deployment", 2, "kind"),
        ("  version: v1\n", "", 4, "spec.version"),
    ],
    ids=["value", "unit", "unknown field", "number for text", "name", "kind", "missing field names its parent"],
)
def test_a_problem_has_its_line_and_path(old: str, new: str, line: int, path: str) -> None:
    assert (line, path) in [(problem.line, problem.path) for problem in problems(GOOD.replace(old, new))]


def test_all_problems_come_at_once_in_the_order_of_the_lines() -> None:
    text = (
        GOOD.replace("{weight: 5}", "{weight: 500}")
        .replace("drain: 10s", "drain: 10")
        .replace("version: v1", "version: 1")
    )
    assert [problem.line for problem in problems(text)] == [6, 16, 17]


def test_a_duplicate_key_names_both_lines() -> None:
    found = problems(GOOD + "      drain: 20s\n")
    assert [(p.line, p.path, p.message) for p in found] == [
        (18, "spec.components[0].drain", "written twice; the first is on line 17")
    ]


def test_several_documents_of_a_file_have_lines_of_the_file() -> None:
    text = f"---\n{GOOD}---\n{GOOD.replace('drain: 10s', 'drain: never')}"
    assert [problem.line for problem in problems(text)] == [36]


def test_dates_and_long_numbers_stay_what_was_written() -> None:
    (source,) = sources.parse(
        "a: 2026-01-02\nb: 12:30\nc: 0x10\nd: .inf\ne: 12345678901234567890123\nf: yes\ng: ~\nh: 1e3\n", ""
    )
    assert source.data == {
        "a": "2026-01-02",
        "b": "12:30",
        "c": "0x10",
        "d": ".inf",
        "e": "12345678901234567890123",
        "f": "yes",
        "g": None,
        "h": 1000.0,
    }


def test_anchors_and_merges_work() -> None:
    (source,) = sources.parse("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nalso: *b\n", "")
    assert source.data["use"] == {"x": 1, "y": 3}
    assert source.data["also"] == {"x": 1, "y": 2}


def test_json_is_read_as_json_and_keeps_its_lines() -> None:
    (source,) = sources.parse('{\n\t"smile": "\\ud83d\\ude00",\n\t"list": [\n\t\t1.5\n\t]\n}', "a.json")
    assert source.data == {"smile": "😀", "list": [1.5]}
    assert source.locate(Problem("list[0]", "")).line == 4


def test_a_problem_below_what_was_written_gets_the_line_of_its_parent() -> None:
    (source,) = sources.parse("spec:\n  a: 1\n", "")
    assert source.locate(Problem("spec.a.b[3].c", "")).line == 2
    assert source.locate(Problem("elsewhere", "")).line == 1


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("", "empty", None),
        (" \n\n", "empty", None),
        ("# nothing\n---\n", "only comments", None),
        ("a: [1\nb: 2\n", "not valid YAML", 2),
        ("a:\n\t- 1\n", "not valid YAML", 2),
        ("a: *nobody\n", "not valid YAML", 1),
        ("a: !!python/object:os.system x\n" * 2 + "{", "not valid YAML", 3),
        ("a: \x01\n", "not valid YAML", None),
        (b"a: \xff\n", "is not UTF-8", 1),
        (b"a: 1\nb: \xe9\n", "is not UTF-8", 2),
        ("a: 1\n".encode("utf-16"), "UTF-16", None),
        (b"a: " + b"x" * sources.LIMIT_BYTES, "larger than 1024 KiB", None),
        ("[" * 3000, "nested too deeply", None),
        (BOMB, "more than 50000 values", None),
        ("a: &a [*a]\n", "contains itself", 1),
    ],
    ids=[
        "empty", "blank", "comments", "syntax", "tab", "unknown alias", "rubbish", "control character", "latin-1",
        "latin-1 later", "utf-16", "huge", "deep", "alias bomb", "self-containing",
    ],
)  # fmt: skip
def test_what_cannot_be_read_gets_a_sentence(text: str | bytes, said: str, line: int | None, tmp_path: Path) -> None:
    problem = refusal(text, tmp_path)
    assert said in problem.message
    assert problem.line == line


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_release(file).metadata.name == "shop"


def test_broken_json_is_told_as_json(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"a": 1,\n}')
    with pytest.raises(SpecError, match="not valid JSON") as refused:
        sources.read(file)
    assert refused.value.problems[0].line == 2


def test_a_missing_file_and_a_directory_say_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(BadInput) as refused:
            read_release(path)
        assert "cannot be read" in refused.value.problems[0].message


def test_another_kind_or_number_of_documents_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    with pytest.raises(BadInput) as refused:
        read_policy(file)
    assert (refused.value.problems[0].line, refused.value.problems[0].path) == (2, "kind")
    file.write_text(f"{GOOD}---\n{GOOD}")
    with pytest.raises(BadInput, match="has 2 documents"):
        read_release(file)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("spec.version=v2", {"version": "v2", "list": [{"name": "web", "n": 1}]}),
        ("spec.list[0].n=2", {"version": "v1", "list": [{"name": "web", "n": 2}]}),
        ("spec.list.web.n=text", {"version": "v1", "list": [{"name": "web", "n": "text"}]}),
        ("spec.new.deep=true", {"version": "v1", "list": [{"name": "web", "n": 1}], "new": {"deep": True}}),
        ("spec.list=[]", {"version": "v1", "list": []}),
        ("spec.version=a=b", {"version": "a=b", "list": [{"name": "web", "n": 1}]}),
        ("spec.version=", {"version": "", "list": [{"name": "web", "n": 1}]}),
    ],
)
def test_set_reaches_into_maps_and_lists(setting: str, expected: object) -> None:
    data = {"spec": {"version": "v1", "list": [{"name": "web", "n": 1}]}}
    assert assign(data, setting) == {"spec": expected}
    assert data["spec"]["version"] == "v1"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("spec.version", "write path=value"),
        ("=x", "write path=value"),
        ("spec..a=1", "write path=value"),
        ("spec.version.deep=1", "has no fields"),
        ("spec.list.api.n=1", "there is no element 'api'; there are web"),
        ("spec.list[7].n=1", "there is no element '7'"),
        ("spec.version=[", "is not YAML"),
    ],
)
def test_a_wrong_set_says_what_is_there(setting: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        assign({"spec": {"version": "v1", "list": [{"name": "web", "n": 1}]}}, setting)
    assert said in str(refused.value)
