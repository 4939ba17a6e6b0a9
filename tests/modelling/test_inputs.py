"""Tables as the world writes them, and what is refused in one line."""

import numpy as np
import pandas as pd
import pytest

from pancseg.modelling.inputs import cell_values
from pancseg.modelling.inputs.cell_values import numbers, read_table
from pancseg.modelling.inputs.clinical import clinical_levels, clinical_numbers, new_levels
from pancseg.modelling.inputs.features_table import TableOptions, TableOrigin, read_features
from pancseg.modelling.inputs.join import join
from pancseg.modelling.inputs.leaks import refuse_outcome_values
from pancseg.modelling.inputs.outcome_coding import class_codes, event_codes, survival_times
from pancseg.review.decisions import Decision, add_decisions, now

LETTERS, ONES, TWOS = ",".join("abcdefghijkl"), ",".join("1" * 12), ",".join("2" * 12)
FEATURES = "patient_id,qc_status,a,b\nP1,pass,1,2\nP2,fail,,\nP3,warn,3,4\nP4,pass,5,6\n"


def files(tmp_path, features=FEATURES, clinical="patient_id,time\nP1,3\nP3,4\nP4,5\n"):
    for name, text in (("f.csv", features), ("c.csv", clinical)):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(content)
    return tmp_path / "f.csv", tmp_path / "c.csv"


def joined(tmp_path, options=None, outcome=("time",), **texts):
    f, c = files(tmp_path, **texts)
    options = options or TableOptions()
    return join(read_features(f, options), c, options, outcome)


def test_rows_that_a_person_accepted_are_used_and_counted(tmp_path):
    told = "Of these, 1 row was accepted by a person (qc_reasons)."
    features = (
        "patient_id,qc_status,qc_reasons,a\nP1,pass,,1\nP2,warn,volume,2\n"
        "P3,warn,volume;accepted,3\nP4,fail,volume,\n"
    )
    found = joined(tmp_path, features=features)
    assert list(found.features.index) == ["P1", "P3"]
    assert told in found.notes
    assert told not in joined(tmp_path, TableOptions(exclude_warn=True), features=features).notes


def test_an_acceptance_alone_is_no_warning(tmp_path):
    features = (
        "patient_id,qc_status,qc_reasons,a\nP1,pass,,1\nP2,warn,volume,2\n"
        "P3,warn,accepted,3\nP4,warn,volume;accepted,4\n"
    )
    stricter = joined(tmp_path, TableOptions(exclude_warn=True), features=features)
    assert list(stricter.features.index) == ["P1", "P3"]
    assert "Of these, 1 row was accepted by a person (qc_reasons)." in stricter.notes
    assert "2 rows with qc_status warn were left out." in stricter.notes


@pytest.mark.parametrize("status", ["failed", "", "rejected"])
def test_a_status_that_is_none_is_refused(tmp_path, status):
    """Rows that somebody marked in Excel would be used."""
    features = f"patient_id,qc_status,a\nP1,pass,1\nP2,{status},2\nP3, FAIL ,\n"
    with pytest.raises(ValueError, match="1 of 3 rows whose qc_status is none of pass, warn, fail"):
        joined(tmp_path, features=features)


def test_decisions_made_since_the_table_was_written_are_told(tmp_path):
    masks = {name: name * 64 for name in "abcd"}
    rows = [f"P{name},,pancreas,pass,,{masks[name]},1\n" for name in "abc"]
    known = f"Pd,,pancreas,warn,accepted,{masks['d']},1\n"
    head = "patient_id,scan_id,roi,qc_status,qc_reasons,mask_sha256,f\n"
    table, _ = files(tmp_path, features=head + "".join(rows) + known)
    told = read_features(table, TableOptions()).notes
    kinds = {"a": "reject", "b": "accept", "d": "accept"}
    made = [
        Decision(f"P{n}", "", "pancreas", k, "seen", "KM", now(), masks[n])
        for n, k in kinds.items()
    ]
    add_decisions(tmp_path, [*made, made[0]._replace(mask_sha256="e" * 64, patient_id="Pc")])
    later = [note for note in read_features(table, TableOptions()).notes if note not in told]
    assert later == [
        "Since the table was written, people have judged 2 of its masks (1 rejected, 1 accepted); "
        "run the command that made it again, so that it has their decisions."
    ]
    (tmp_path / "review.csv").write_text("not,a,review\n")
    assert "review.csv beside the table cannot be read" in str(
        read_features(table, TableOptions()).notes
    )


def test_rows_that_failed_are_left_out_and_counted(tmp_path):
    found = joined(tmp_path)
    assert list(found.features.index) == ["P1", "P3", "P4"]
    assert list(found.features) == ["a", "b"]
    assert any("1 rows with qc_status fail" in note for note in found.notes)
    assert any("1 rows with qc_status warn were kept" in note for note in found.notes)
    stricter = joined(tmp_path, TableOptions(exclude_warn=True))
    assert list(stricter.features.index) == ["P1", "P4"]


@pytest.mark.parametrize(
    "clinical",
    [
        "patient_id;time;x\nP4;5,5;1\nP1;3,25;2\nP3;4,0;3\n;;\n;;\n",
        "patient_id\ttime\tx\nP4\t5.5\t1\nP1\t3.25\t2\nP3\t4\t3\n\n\n",
        "\ufeffpatient_id,time,x,,\nP4,5.5,1,,\nP1,3.25,2,,\nP3,4.0,3,,\n,,,,\n",
        '"patient_id","time","x"\r\n"P4","5,5","1"\r\n"P1","3,25","2"\r\n"P3","4,0","3"\r\n',
        "patient_id;time;x\nP4;5,5;1\nP1;3,25;2\nP3;4,0;3\n".encode("utf-16"),
    ],
)
def test_clinical_files_come_as_the_world_writes_them(tmp_path, clinical):
    found = joined(tmp_path, clinical=clinical)
    times = survival_times(found.outcomes["time"], "time", trusted=False)
    assert list(times) == [3.25, 4.0, 5.5]


def test_ids_as_integers_though_some_are_spelt_alike(tmp_path):
    """Of 001 to 120 those from 100 on are spelt as 1 to 120 are."""
    features = "id,a\n" + "".join(f"{n:03d},{n * n}\n" for n in range(98, 103))
    clinical = "nr,time\n" + "".join(f"{n},{n}\n" for n in range(98, 103))
    found = joined(tmp_path, features=features, clinical=clinical)
    assert list(found.features.index) == ["098", "099", "100", "101", "102"]
    twice = clinical + "098,1\n"  # integers would make two patients one
    assert len(joined(tmp_path, features=features, clinical=twice).features) == 4


@pytest.mark.parametrize("spelling", ["{}", "{}.0", "{:03d}"])
def test_ids_as_integers_or_strings(tmp_path, spelling):
    features = "id,a\n" + "".join(f"{n},{n * n}\n" for n in range(1, 5))
    clinical = "nr,time\n" + "".join(f"{spelling.format(n)},{n}\n" for n in (4, 2, 1, 9))
    found = joined(tmp_path, features=features, clinical=clinical)
    assert list(found.outcomes["time"]) == ["1", "2", "4"]
    assert set(map(tuple, found.unmatched.to_numpy())) == {("3", "clinical"), ("9", "features")}
    assert any("3 rows matched" in note for note in found.notes)


def test_who_failed_the_verdict_is_not_called_missing(tmp_path):
    found = joined(tmp_path, clinical="patient_id,time\nP1,3\nP2,7\nP4,5\n,8\n-,9\n")
    assert set(map(tuple, found.unmatched.to_numpy())) == {("P3", "clinical"), ("P2", "left out")}
    assert found.unusable == ("P2",)
    assert any(
        "0 of the clinical file are not in the feature table" in note for note in found.notes
    )
    assert any("2 rows of the clinical file have no id" in note for note in found.notes)


def test_a_group_parts_no_patient(tmp_path):
    """P1 was in two hospitals: these are one group, with all their patients."""
    features = "scan_id,patient_id,a\n" + "".join(
        f"s{n},{patient},{n}\n" for n, patient in enumerate(("P1", "P1", "P2", "P3", "P4"))
    )
    clinical = "scan_id,time,hospital\ns0,1,A\ns1,2,B\ns2,3,B\ns3,4,C\ns4,5,D\n"
    options = TableOptions(id_column="scan_id", group="hospital")
    found = joined(tmp_path, options, features=features, clinical=clinical)
    assert list(found.groups) == ["A", "A", "A", "C", "D"]
    assert found.count() == 4
    assert any(
        "1 patients (patient_id) are in several groups of hospital" in note for note in found.notes
    )


def test_parquet_is_the_same_as_csv(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"id": [7, 8], "a": [0.1, np.nan]})
    frame.to_parquet(tmp_path / "f.parquet")
    found = read_features(tmp_path / "f.parquet", TableOptions())
    assert list(found.values.index) == ["7", "8"]
    assert found.values["a"].iloc[0] == 0.1
    assert np.isnan(found.values["a"].iloc[1])


@pytest.mark.parametrize(
    ("features", "line"),
    [
        ("patient_id,a\nP1,1\nP1,2\n", "1 ids in 'patient_id' are duplicated"),
        ("patient_id,a,a\nP1,1,2\n", "the column name 'a' occurs twice"),
        ("patient_id,a\nP1,inf\nP3,2\n", "1 infinite values in 1 columns"),
        ("patient_id,a,b\nP1,,\nP3,,\n", "all 2 feature columns are empty"),
        ("patient_id,a\nP1,red\nP3,2\n", "1 of 2 values are text, such as 'red'"),
        ("patient_id,a,Time\nP1,1,3\nP3,2,4\n", "the outcome 'Time' is among the features"),
        ("patient_id\nP1\n", "no feature column"),
        ("", "is empty"),
        ("patient_id,a\nP1,1,5\n", "line 2: the row has 3 cells, the header 2 columns"),
        ("patient_id,roi,a\nP1,x,1\nP1,y,2\n", "2 regions (x, y); name one with `roi`"),
        ("patient_id,a\n,1\nP3,2\n", "1 rows have no id"),
        ("patient_id,settings_sha256,a\nP1,x,1\nP3,y,2\n", "measured with 2 settings"),
        ("patient_id,image_sha256,a\nP1,x,1\nP3,x,2\n", "have the same image_sha256 (2 such"),
        (f"patient_id,{LETTERS}\nP1,{ONES}\nP3,{ONES}\nP4,{TWOS}\n", "the same values in all 12"),
        ("patient_id,a\nQ1,1\nQ2,2\n", "no id of the feature table (2 rows)"),
        (
            b"PK\x03\x04\0\0",
            "the feature table is not UTF-8 text (a workbook?); save it as 'CSV UTF-8'",
        ),
        (
            "patient_id,größe\nP1,1\n".encode("cp1252"),
            "the feature table is not UTF-8 text; save it",
        ),
        ('patient_id,a\n\nP1,"1\nP3,"2\n', "line 3: a cell holds 2 lines; close its quote"),
    ],
)
def test_bad_tables_end_in_one_line(tmp_path, features, line):
    with pytest.raises(ValueError, match=r".") as refusal:
        joined(tmp_path, features=features)
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_empty_columns_are_left_out_and_said(tmp_path):
    found = joined(tmp_path, features="patient_id,a,b\nP1,1,\nP3,2,\n")
    assert list(found.features) == ["a"]
    assert any("1 feature columns are empty" in note for note in found.notes)


@pytest.mark.parametrize(
    "values",
    [["0", "1"], ["no", "Yes"], ["alive", "DEAD"], ["0:LIVING", "1:DECEASED"], ["False", "True"]],
)
def test_events_in_known_words(values):
    codes = event_codes(pd.Series([values[0], values[1], "", "NA"]), "os", None)
    assert list(codes[:2]) == [0, 1]
    assert codes[2:].isna().all()


def test_an_ambiguous_event_is_refused_with_what_was_found():
    cells = pd.Series(["1", "2", "2"])
    with pytest.raises(ValueError, match="ambiguous, found '2', '1'"):
        event_codes(cells, "status", None)
    assert list(event_codes(cells, "status", "2")) == [0, 1, 1]
    with pytest.raises(ValueError, match="no row has the value '3'"):
        event_codes(cells, "status", "3")


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["1", "-3"], "1 times are negative, the lowest -3"),
        (["12 months", "3"], "1 of 2 times carry a unit"),
        (["6", "9", "12", "18", "24", "360", "420", "600", "700"], "look like two units (5 up to"),
        (["inf", "3"], "1 times are infinite"),
        (["soon", "3"], "are text"),
        (["1.5", "2,5"], "both 1.5 and 1,5"),
    ],
)
def test_bad_times(cells, line):
    with pytest.raises(ValueError, match=r".") as refusal:
        survival_times(pd.Series(cells), "t", trusted=False)
    assert line in str(refusal.value)


def test_exponential_times_are_not_taken_for_two_units():
    for seed in range(200):
        times = np.random.default_rng(seed).exponential(500, 60)
        survival_times(pd.Series(times.astype(str)), "t", trusted=False)


def test_classes():
    codes, names = class_codes(pd.Series(["qm", "non-qm", ""]), "s", None)
    assert names == ("non-qm", "qm")
    assert list(codes[:2]) == [1, 0]
    with pytest.raises(ValueError, match="two classes"):
        class_codes(pd.Series(["a", "a"]), "s", None)
    with pytest.raises(ValueError, match="3 classes"):
        class_codes(pd.Series(["a", "b", "c"]), "s", None)
    assert class_codes(pd.Series(["a", "b", "c"]), "s", "b")[1] == ("a or c", "b")


def test_the_outcome_under_another_name_is_a_leak():
    outcome = np.arange(20.0) % 2
    features = pd.DataFrame({"a": np.arange(20.0), "copy": 3 - 2 * outcome})
    with pytest.raises(ValueError, match="'copy' is the outcome"):
        refuse_outcome_values(features, outcome, "label")
    refuse_outcome_values(features[["a"]], outcome, "label")


def test_clinical_text_becomes_indicators():
    found = clinical_numbers(pd.Series(["m", "f", "", "m"]), "sex")
    assert list(found) == ["sex=m"]
    assert list(found["sex=m"].iloc[[0, 1, 3]]) == [1, 0, 1]
    assert np.isnan(found["sex=m"].iloc[2])
    with pytest.raises(ValueError, match="11 different texts"):
        clinical_numbers(pd.Series([f"x{n}" for n in range(11)]), "site")


def test_numbers_read_back_to_the_bit(tmp_path):
    values = np.random.default_rng(0).normal(size=50)
    pd.DataFrame({"id": range(50), "a": values}).to_csv(tmp_path / "t.csv", index=False)
    assert (numbers(read_table(tmp_path / "t.csv", "t")["a"], "a") == values).all()


def test_the_outcome_itself_is_no_clinical_variable(tmp_path):
    options = TableOptions(clinical=("time",))
    with pytest.raises(ValueError, match="`clinical` time: that column is the outcome itself"):
        joined(tmp_path, options)


def test_times_in_days_and_months_are_refused_though_the_heaps_overlap():
    random = np.random.default_rng(0)
    months = np.exp(random.normal(2.7, 0.8, 200))
    mixed = np.where(random.random(200) < 0.5, 30.44, 1) * months
    assert survival_times(pd.Series(months.astype(str)), "t", False).notna().all()
    with pytest.raises(ValueError, match="look like two units") as told:
        survival_times(pd.Series(mixed.astype(str)), "t", False)
    assert "`trust_times`" in str(told.value)
    assert survival_times(pd.Series(mixed.astype(str)), "t", True).notna().all()


def test_early_deaths_are_no_second_unit():
    """The Worcester Heart Attack Study: a quarter died within weeks, the others lived for years."""
    datasets = pytest.importorskip("sksurv.datasets")
    days = datasets.load_whas500()[1]["lenfol"]
    assert survival_times(pd.Series(days.astype(str)), "lenfol", False).max() == 2358


def test_scans_of_a_patient_are_one_group(tmp_path):
    features = "scan_id,patient_id,image_sha256,a\ns1,P1,x,1\ns2,P1,x,2\ns3,P2,y,3\n"
    options = TableOptions(id_column="scan_id")
    clinical = "scan_id,time\ns1,1\ns2,2\ns3,3\n"
    found = joined(tmp_path, options, features=features, clinical=clinical)
    assert list(found.groups) == ["P1", "P1", "P2"]
    assert "3 rows of 2 patients, by patient_id." in found.notes


def test_patients_without_values_are_not_one_patient(tmp_path):
    nothing = "," * 11
    features = f"patient_id,{LETTERS}\nP1,{nothing}\nP3,{nothing}\nP4,{TWOS}\nP5,{ONES}\n"
    assert len(joined(tmp_path, features=features).features) == 3


def test_yes_and_no_features_do_not_make_two_patients_one(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (8, 12)).astype(str)
    rows = [f"{p}{n},{','.join(bits[n])}\n" for p in "PQ" for n in range(8)]
    clinical = "patient_id,time\n" + "".join(f"{p}{n},{n}\n" for p in "PQ" for n in range(8))
    features = f"patient_id,{LETTERS}\n{''.join(rows)}"
    assert len(joined(tmp_path, features=features, clinical=clinical).features) == 16
    finer = np.random.default_rng(0).normal(size=(8, 12)).astype(str)
    rows = [f"{p}{n},{','.join(finer[n])}\n" for p in "PQ" for n in range(8)]
    features = f"patient_id,{LETTERS}\n{''.join(rows)}"
    with pytest.raises(ValueError, match=r"the same values in all 12 .*\(16 such rows\)"):
        joined(tmp_path, features=features, clinical=clinical)


def test_a_patient_that_is_not_named_is_refused_or_grouped(tmp_path):
    features = "scan_id,patient_id,a\ns1,P1,1\ns2,P1,2\ns3,,3\n"
    clinical = "scan_id,time,patient\ns1,1,A\ns2,2,A\ns3,3,B\n"
    options = TableOptions(id_column="scan_id")
    with pytest.raises(ValueError, match="patient_id: 1 rows name no patient; fill them in"):
        joined(tmp_path, options, features=features, clinical=clinical)
    options = TableOptions(id_column="scan_id", group="patient")
    found = joined(tmp_path, options, features=features, clinical=clinical)
    assert found.count() == 2
    assert list(found.groups) == ["A", "A", "B"]


def test_patients_of_a_hospital_are_counted_not_hospitals(tmp_path):
    clinical = "patient_id,time,site\nP1,3,x\nP3,4,x\nP4,5,y\n"
    found = joined(tmp_path, TableOptions(group="site"), clinical=clinical)
    assert found.count() == 3
    assert len(set(found.groups)) == 2


def test_rows_without_a_group_are_refused(tmp_path):
    clinical = "patient_id,time,site\nP1,3,\nP3,4,a\nP4,5,-\n"
    with pytest.raises(ValueError, match="`group`: 2 rows name no group"):
        joined(tmp_path, TableOptions(group="site"), clinical=clinical)


def test_columns_without_a_name_are_no_features(tmp_path):
    features = ",Unnamed: 0.1,Unnamed: 3,patient_id,a\n0,5,0,P1,1\n1,6,1,P3,2\n"
    found = joined(tmp_path, features=features)
    assert list(found.features) == ["a"]
    assert any("3 columns without a name were left out" in note for note in found.notes)
    with pytest.raises(ValueError, match="first column has no name and numbers the rows"):
        joined(tmp_path, features=",ID,a\n0,5,1\n1,6,2\n")
    ids = joined(tmp_path, features=",a\nP1,1\nP3,2\n")  # pandas's index, without a name
    assert list(ids.features.index) == ["P1", "P3"]


def test_a_comma_that_may_part_thousands_is_refused(tmp_path):
    table = read_table(files(tmp_path, 'id,a,b\nP1,"1,234","1,25"\nP2,"5,678","3,456"\n')[0], "t")
    with pytest.raises(ValueError, match="in '1,234' and 1 more the comma may be"):
        numbers(table["a"], "a")
    assert list(numbers(table["b"], "b")) == [1.25, 3.456]
    with pytest.raises(ValueError, match="in '1,234' and 1 more the comma may be"):
        clinical_numbers(table["a"], "a")
    text = "id;a;b\nP1;37;1.250\nP2;12.500;2.000\n"
    dotted = read_table(files(tmp_path, text)[0], "t")
    with pytest.raises(ValueError, match=r"in '12\.500', beside whole numbers, the dot may be"):
        numbers(dotted["a"], "a")
    assert list(numbers(dotted["b"], "b")) == [1.25, 2.0]
    text = "id;a;b\nP1;37;1.250\nP2;12.500;0.12\n"  # 0.12 says what the dot is
    table = read_table(files(tmp_path, text)[0], "t")
    assert list(numbers(table["a"], "a")) == [37, 12.5]
    german = read_table(files(tmp_path, "id;a\nP1;1,234\nP2;5,678\n")[0], "t")
    assert list(numbers(german["a"], "a")) == [1.234, 5.678]


def test_the_volume_of_a_model_is_not_guessed_again(tmp_path):
    features = "patient_id,a,volume,qc_volume_ml\nP1,1,30,31\nP3,2,40,41\n"
    f, _ = files(tmp_path, features)
    assert read_features(f, TableOptions()).origin.volume == "qc_volume_ml"
    for volume in ("volume", None):
        known = TableOrigin(("a",), volume=volume)
        assert read_features(f, TableOptions(), known=known).origin.volume == volume
    gone = read_features(f, TableOptions(), known=TableOrigin(("a",), volume="ml"))
    assert gone.origin.volume is None
    assert "the feature table has no column 'ml': no prediction from volume only." in gone.notes


def test_a_file_that_is_not_there_is_named_by_its_part(tmp_path):
    with pytest.raises(ValueError, match="the feature table cannot be read: No such file"):
        read_features(tmp_path / "none.csv", TableOptions())


def test_none_and_minus_are_classes_and_unknown_is_not():
    codes, names = class_codes(pd.Series(["none", "high", "unknown"]), "s", "high")
    assert names == ("none", "high")
    assert list(codes[:2]) == [0, 1]
    assert np.isnan(codes[2])
    assert class_codes(pd.Series(["+", "-"]), "s", "+")[1] == ("-", "+")
    assert list(clinical_numbers(pd.Series(["none", "mild"]), "jaundice")) == ["jaundice=none"]
    codes, names = class_codes(pd.Series(["mut", "wt", "-"]), "s", "mut")
    assert names == ("wt", "mut")
    assert np.isnan(codes[2])
    assert clinical_levels(pd.Series(["G1", "-", "G2"]), "grade") == ("G1", "G2")
    assert list(event_codes(pd.Series(["dead", "alive", "-"]), "e", "dead").isna()) == [0, 0, 1]
    assert list(event_codes(pd.Series(["local", "none"]), "e", "local")) == [1, 0]
    assert np.isnan(class_codes(pd.Series(["wt", "-"]), "s", "mut", ("wt",))[0][1])
    assert clinical_numbers(pd.Series(["G1", "-"]), "grade", ("G1", "G2")).isna().sum().sum() == 1


def test_classes_that_differ_in_case_only_are_refused():
    with pytest.raises(ValueError, match="'Yes' and 'yes' differ in case only"):
        class_codes(pd.Series(["yes", "Yes", "no"]), "s", "yes")


def test_a_class_that_a_model_never_saw_is_not_counted_as_the_other():
    with pytest.raises(ValueError, match="fitted without the class 'c', with 'a', 'b'"):
        class_codes(pd.Series(["a", "b", "c"]), "s", "b", ("a",))
    assert list(class_codes(pd.Series(["b", "a"]), "s", "b", ("a",))[0]) == [1, 0]


def test_levels_of_a_model_code_new_patients():
    """A single man is "male", whatever other texts would stand in his file."""
    levels = ("female", "male")
    assert list(clinical_numbers(pd.Series(["male"]), "sex", levels)["sex=male"]) == [1]
    assert clinical_numbers(pd.Series(["other"]), "sex", levels)["sex=male"].isna().all()
    assert list(new_levels(pd.Series(["other", "", "MALE"]), levels)) == [True, False, False]
    with pytest.raises(ValueError, match="'age': 1 of 1 values are text"):
        clinical_numbers(pd.Series(["old"]), "age", ())
    for known in (None, ()):
        with pytest.raises(ValueError, match="'age': 1 values are infinite"):
            clinical_numbers(pd.Series(["inf", "3"]), "age", known)
    with pytest.raises(ValueError, match="'Male' and 'male' differ in case only"):
        clinical_numbers(pd.Series(["male", "Male"]), "sex")


def test_a_table_larger_than_any_cohort_is_refused_before_it_fills_the_memory(
    tmp_path, monkeypatch
):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"id": pa.array(np.zeros(1_000_001, np.int8))}), path)
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"f has 1000001 rows and 1 columns .at most 1000000 rows"):
        read_table(path, "f")
    texts = pa.array(["x" * 100_000])  # once in the file, 5,000 times in its column
    rows = pa.DictionaryArray.from_arrays(pa.array(np.zeros(5000, np.int32)), texts)
    pq.write_table(pa.table({"id": rows}), path)
    assert path.stat().st_size < 1_000_000
    ids = read_table(path, "f")["id"]
    assert ids.map(len).sum() == 5000 * 100_000
    assert ids.map(id).nunique() <= 5  # one in each part that is read at once, not 5,000
    pq.write_table(pa.table({"id": rows}), path, store_schema=False)
    monkeypatch.setattr(cell_values, "_MOST_PARQUET_BYTES", 1 << 27)
    monkeypatch.setattr(cell_values, "_ROWS_AT_ONCE", 32)
    with pytest.raises(ValueError, match="f takes more than 0 GiB of memory; leave some columns"):
        read_table(path, "f")
    path = tmp_path / "f.csv"
    path.write_text(",".join(f"c{n}" for n in range(20_001)) + "\n")
    with pytest.raises(ValueError, match="0 rows and 20001 columns"):
        read_table(path, "f")
    monkeypatch.setattr(cell_values, "_MOST_CELLS", 6)
    path.write_text("a,b\n1,2\n3,4\n5,6\n")
    assert len(read_table(path, "f")) == 3
    path.write_text("a,b\n1,2\n3,4\n5,6\n7,8\n")
    with pytest.raises(ValueError, match=r"4 rows and 2 columns .* and 6 cells"):
        read_table(path, "f")
    monkeypatch.setattr(cell_values, "_MOST_BYTES", 1 << 20)
    with path.open("wb") as file:
        file.truncate(200 << 30)
    with pytest.raises(ValueError, match="f is larger than 1 MiB; split it"):
        read_table(path, "f")
