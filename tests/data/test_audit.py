"""The audit of labels finds each kind of bad row by line, counts it, and needs no image library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.data.audit import audit_labels, refuse_too_many_bad
from glyphyard.data.findings import SHOWN, bad_rows, by_kind, told


def kinds(audit):
    return [(f.kind.value, f.line) for f in audit.findings]


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        ("images/AA1.png\t - \n", "empty_label"),
        ("images/AA1.png\tAB\u00d1\n", "unknown_character"),
        ("images/AA1.png\t" + "A1" * 20 + "\n", "label_too_long"),
        ("images/AA1.png\t" + "A" * 17 + "\n", "label_too_long"),
        ("images/none.png\tAA2\n", "missing_image"),
        ("images/AA1.png AA1\n", "malformed_line"),
    ],
)
def test_each_bad_row_is_found_with_its_line(label_file, make, extra, kind):
    audit = audit_labels(make.config(make.real(label_file(["BB1", "AA1"], extra.encode()))), capacity=Capacity(32))
    assert (kind, 3) in kinds(audit)
    assert 2 in bad_rows(audit.findings)


def test_what_can_just_be_spelled_is_no_finding(label_file, make):
    labels = label_file(["BB1"])
    labels.write_text("images/BB1.png\t" + "A" * 16 + "\n")  # 16 letters, 15 blanks between them
    audit = audit_labels(make.config(make.real(labels)), capacity=Capacity(31))
    assert not audit.findings
    assert audit.statistics["places_needed_most"] == 31


def test_a_decoder_that_writes_characters_needs_no_blanks(label_file, make):
    labels = label_file(["BB1"])
    labels.write_text("images/BB1.png\t" + "A" * 16 + "\nimages/BB1.png\t" + "A" * 17 + "\n")
    audit = audit_labels(make.config(make.real(labels)), Capacity(16, blanks=False))
    assert [f.line for f in audit.findings if f.kind.value == "label_too_long"] == [2]
    assert "17 characters, the model has 16" in next(f.detail for f in audit.findings if f.kind.value == "label_too_long")


def test_a_text_that_the_layout_cannot_hold_is_left_out_with_its_line_and_code(label_file, make):
    audit = audit_labels(make.config(make.real(label_file(["ABC1D23", "ABC1234"]))), Capacity(32, layout="mercosur"))
    ((kind, line),) = kinds(audit)
    assert (kind, line) == ("broken_layout", 2)
    assert all(word in audit.findings[0].detail for word in ("GY054", "ABC1234", "LLLDLDD", "layout: none"))
    with pytest.raises(BadInput, match=r"labels\.txt:2.*GY054"):
        refuse_too_many_bad(make.config(make.real(label_file(["AA1"]))), audit.rows, audit.findings)


def test_labels_are_normalised_before_they_are_judged(label_file, make):
    labels = label_file(["AB1"])
    labels.write_text("images/AB1.png\tab-1 o\n")
    audit = audit_labels(make.config(make.real(labels), equivalences=("0O",)), capacity=Capacity(32))
    assert audit.texts == ["AB1O"]
    assert audit.groups == ["AB10"]
    assert not audit.findings


def test_one_path_with_two_labels_is_bad_and_listed_twice_a_warning(label_file, make):
    extra = b"images/AA1.png\tXX9\nimages/BB1.png\tBB1\n"
    audit = audit_labels(make.config(make.real(label_file(["AA1", "BB1"], extra))), capacity=Capacity(32))
    assert sorted(kinds(audit)) == [("conflicting_labels", 1), ("conflicting_labels", 3), ("duplicate_image", 4)]
    assert bad_rows(audit.findings) == {0, 2}


def test_equivalent_labels_do_not_conflict(label_file, make):
    dataset = make.config(make.real(label_file(["AA0"], b"images/AA0.png\tAAO\n")), equivalences=("0O",))
    assert by_kind(audit_labels(dataset, Capacity(32)).findings) == {"duplicate_image": 1}


def test_a_path_without_a_group_is_an_error(label_file, make):
    dataset = make.config(make.real(label_file(["AA1"]), group_by=r"cam(\d+)/"))
    assert kinds(audit_labels(dataset, Capacity(32))) == [("no_group", 1)]


def test_too_many_bad_rows_of_one_source_are_refused_with_file_line_and_remedy(label_file, make, cheap_plates):
    labels = label_file(["AA1", "BB1", "CC1"], b"images/none.png\tDD1\n")
    dataset = make.config(make.real(labels), make.drawn(count=500))
    audit = audit_labels(dataset, Capacity(32))
    with pytest.raises(BadInput) as caught:
        refuse_too_many_bad(dataset, audit.rows, audit.findings)
    line = str(caught.value)
    assert line.startswith(f"{labels}:4: missing_image: images/none.png")
    assert "1 of 4 rows" in line
    assert "max_bad_fraction" in caught.value.remedy
    refuse_too_many_bad(make.config(make.real(labels), max_bad_fraction=0.25), audit.rows, audit.findings)


def test_statistics_say_what_the_labels_hold(label_file, make):
    statistics = audit_labels(
        make.config(make.real(label_file(["AB1", "ABC12"])), alphabet="ABC12XO", equivalences=()), Capacity(32)
    ).statistics
    assert statistics["rows"] == {"real": 2}
    assert statistics["label_lengths"] == {"3": 1, "5": 1}
    assert statistics["characters"]["A"] == 2
    assert statistics["characters_never_seen"] == ["X", "O"]


def test_the_screen_gets_counts_and_the_first_findings(label_file, make):
    extra = "".join(f"images/none{i}.png\tA{i}\n" for i in range(SHOWN + 5)).encode()
    lines = told(audit_labels(make.config(make.real(label_file(["AA1"], extra))), Capacity(32)).findings)
    assert f"{SHOWN + 5} missing_image" in lines[0]
    assert len(lines) == SHOWN + 2
    assert "5 more" in lines[-1]


def test_looking_at_labels_loads_no_image_or_cluster_library():
    heavy = "{'cv2', 'torch', 'ray', 'pyarrow', 'pandas'}"
    code = f"import sys, glyphyard.data.audit, glyphyard.data.fingerprint; sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
