"""The phase that a series' text names: words in two languages, and their pitfalls."""

from __future__ import annotations

import pytest

from pancseg.scans.dicom.contrast_phase import PHASES, phase_in

TEXTS = {
    "portal_venous": [
        "Abdomen portalvenös 3.0 Br40", "ABD PV phase", "PVP", "CT Abd_venous_1mm", "Abd ven. 5.0",
        "portal-venous", "Portovenous phase", "porto-venöse Phase", "Pfortader", "venoese Phase",
        "VENÖS", "ABDOMEN PORTAL", "Oberbauch PVEN", "i.v. contrast venous",
    ],
    "arterial": [
        "Abd art. 1.0", "ARTERIAL", "arterielle Phase", "late arterial", "spätarteriell",
        "CTA Aorta", "Pancreatic phase", "Pankreasphase", "CT-Angio", "Oberbauch art 3mm",
    ],
    "native": [
        "without contrast", "Abdomen w/o contrast", "w/o IV contrast", "ohne KM",
        "ohne Kontrastmittel", "nativ", "Native", "unenhanced", "NON-CONTRAST", "non enhanced",
        "noncontrast", "Abd C- 5.0", "o. KM", "o.KM", "pre-contrast", "NCCT", "no contrast",
    ],
    "delayed": [
        "delayed", "Late phase", "Spätphase", "late venous", "spätvenös", "Delayed venous phase",
        "equilibrium phase", "Ausscheidungsphase", "excretory", "late portal venous",
    ],
    "": [
        "", "non-portal", "not portal venous", "Abdomen", "ventral", "chest part 2", "start",
        "lateral", "latex allergy", "plate", "intravenous contrast", "intravenös",
        "MAR artefact reduction", "art + ven", "arteriell/venös",
        "native, arterial, portal venous", "CT without and with contrast", "w/o & w contrast",
        "PANCREAS W WO CONTRAST", "CT ABD W/WO CONTRAST", "W/ WO IV CONTRAST", "wo/w contrast",
        "w/o w contrast",
        "mit und ohne KM", "delay 70s", "AP topogram", "Ventilation", "C-spine", "Pancreas",
        "Pankreas 3mm", "Earth", "Alternative", "contrast", "Prenatal", "DOE^VENTURA", "C+",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("phase", "text"), [(p, t) for p, ts in TEXTS.items() for t in ts])
def test_texts(phase: str, text: str) -> None:
    for form in (text, text.upper(), text.replace(" ", "_")):
        assert phase_in([form]) == phase


def test_the_first_text_that_is_clear_counts() -> None:
    assert phase_in(["", "Abdomen", "art/ven", "venous", "arterial"]) == "portal_venous"
    assert phase_in([]) == ""


def test_all_phases_are_tried() -> None:
    assert {*TEXTS} - {""} == {*PHASES}
