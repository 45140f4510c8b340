//! Out to `grades.csv` and back.

use proptest::prelude::*;

use super::*;

/// The rows of a table, by the names of its columns.
fn rows(csv: &[u8]) -> Vec<std::collections::HashMap<String, String>> {
    csv::Reader::from_reader(csv).deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn an_export_joins_grades_with_models_and_is_logged() {
    let place = Place::new();
    let sheet = place.sheet();
    let mut session = open(&sheet, "anna");
    let count = session.deck().cards.len();
    assert_eq!(count, 24);
    for card in 0..count {
        session.grade(card, Grade::B, 2.0).unwrap();
    }
    session.note(0, "=HYPERLINK(\"http://x\")").unwrap();
    session.skip(1, 0.25).unwrap();
    drop(session);
    assert!(!std::fs::read_to_string(sheet.join("unblinded.jsonl")).unwrap().contains("export"));
    let exported = export(&sheet, Which::Grades, None, "me").unwrap();
    let text = String::from_utf8(exported.csv.clone()).unwrap();
    assert!(text.starts_with(
        "sheet,rater,model_id,question_id,item,image,subsets,abilities,grade,note,flagged,seconds,graded_at,answer_sha256\n"
    ));
    assert!(text.contains("\"'=HYPERLINK"), "{text}");
    let table = rows(&exported.csv);
    // Each answer once; its repeats are a table of their own.
    assert_eq!((exported.rows, table.len()), (21, 21));
    let pairs: std::collections::BTreeSet<(&str, &str)> =
        table.iter().map(|row| (row["model_id"].as_str(), row["question_id"].as_str())).collect();
    assert_eq!(pairs.len(), 21);
    for row in &table {
        // What the models of this place answer tells who they are.
        let id: u64 = row["question_id"].parse().unwrap();
        let answer = format!("it is {id}{}", row["model_id"].as_bytes()[0]);
        assert_eq!(row["answer_sha256"], super::super::answers::text_sha256(&answer));
    }
    let pair = table.iter().find(|row| row["question_id"] == "5").unwrap();
    assert_eq!(
        (pair["image"].as_str(), pair["subsets"].as_str(), pair["abilities"].as_str()),
        ("cup.png;jug.jpg", "multi_turn", "e;f")
    );
    assert!(table.iter().any(|row| row["grade"].is_empty() && row["seconds"] == "2.25"));
    let repeats = export(&sheet, Which::Repeats, None, "me").unwrap();
    assert_eq!(repeats.rows, 3);
    assert!(rows(&repeats.csv).iter().all(|row| row["sheet"] == "study#repeats"));
    // Of one of the three pairs, an answer was skipped.
    assert!(exported.notes.iter().any(|note| note.contains("2 of 2 hidden repeats")), "{:?}", exported.notes);
    let log = std::fs::read_to_string(sheet.join("unblinded.jsonl")).unwrap();
    assert_eq!((log.lines().count(), log.matches("\"who\":\"me\"").count()), (2, 2));
}

#[test]
fn missing_answers_count_as_d_only_where_that_is_asked_for() {
    let place = Place::new();
    let answers = [
        place.answers("a.jsonl", "alpha", |id| Some(format!("yes {id}"))),
        place.answers("b.jsonl", "beta", |id| (id != 6).then(|| format!("no {id}"))),
    ];
    let sheet = place.path("study");
    place.new_sheet(&sheet, &answers).create().unwrap();
    open(&sheet, "anna").grade(0, Grade::A, 1.0).unwrap();
    let count = |missing| export(&sheet, Which::Grades, missing, "me").unwrap().rows;
    assert_eq!([count(None), count(Some(MissingPolicy::Excluded)), count(Some(MissingPolicy::D))], [1, 1, 2]);
    let table = rows(&export(&sheet, Which::Grades, Some(MissingPolicy::D), "me").unwrap().csv);
    let row = table.iter().find(|row| row["note"].starts_with("missing: ")).unwrap();
    assert_eq!((row["model_id"].as_str(), row["question_id"].as_str(), row["grade"].as_str()), ("beta", "6", "D"));
}

#[test]
fn rows_that_cannot_be_placed_say_why_and_the_others_are_recorded() {
    let place = Place::new();
    let answers = [
        place.answers("a.jsonl", "alpha", |id| Some(format!("yes {id}"))),
        place.answers("b.jsonl", "beta", |id| (id != 6).then(|| format!("no {id}"))),
    ];
    let sheet = place.path("study");
    place.new_sheet(&sheet, &answers).create().unwrap();
    let file = place.path("g.csv");
    let other = "0".repeat(64);
    let table = format!(
        "\u{feff}rater;question_id;model_id;grade;sheet;answer_sha256;graded_at\r\n\
         ben;1;alpha;a;study;;2023-04-01T10:00:00+02:00\r\nben;2;alpha;;;;\r\nben;1;gamma;A;;;\r\nben;6;beta;A;;;\r\n\
         ben;9;beta;A;;;\r\nben;3;beta;A;another;;\r\nben;3;beta;A;;{other};\r\nben;1;alpha;B;;;\r\n\
         b/n;1;alpha;A;;;\r\nben;4;beta;E;;;\r\n"
    );
    std::fs::write(&file, table).unwrap();
    let imported = import(&sheet, &file, None, "me").unwrap();
    assert_eq!((imported.placed, imported.unchanged), (2, 0));
    let expected = [
        (4, "no answers of the model \"gamma\""),
        (5, "no answer of \"beta\" to question 6: there is no such row"),
        (6, "no answer of \"beta\" to question 9 on the sheet"),
        (7, "belongs to the sheet \"another\""),
        (8, "another text"),
        (9, "a second grade by ben"),
        (10, "cannot be a rater's name"),
        (11, "is no grade"),
    ];
    assert_eq!(imported.unplaced.len(), expected.len(), "{:?}", imported.unplaced);
    for (row, (line, why)) in imported.unplaced.iter().zip(expected) {
        assert!(row.line == line && row.why.contains(why), "{row:?}");
    }
    let again = import(&sheet, &file, None, "me").unwrap();
    assert_eq!((again.placed, again.unchanged), (0, 2));
    let table = rows(&export(&sheet, Which::Grades, None, "me").unwrap().csv);
    assert_eq!((table[0]["grade"].as_str(), table[0]["graded_at"].as_str()), ("A", "2023-04-01T08:00:00Z"));
    assert_eq!(table[1]["grade"], "");
    assert_eq!(std::fs::read_to_string(sheet.join("ben.jsonl")).unwrap().lines().count(), 2);
}

#[test]
fn a_note_on_an_answer_without_a_grade_is_exported_and_is_no_skip_when_it_comes_back() {
    let place = Place::new();
    let sheet = place.sheet();
    let mut session = open(&sheet, "anna");
    session.note(0, "ask the others").unwrap();
    session.flag(1, true).unwrap();
    session.skip(2, 1.0).unwrap();
    drop(session);
    let table = export(&sheet, Which::Grades, None, "me").unwrap();
    let given: Vec<(String, String, String, String)> = rows(&table.csv)
        .into_iter()
        .map(|row| (row["grade"].clone(), row["note"].clone(), row["flagged"].clone(), row["seconds"].clone()))
        .collect();
    let has = |grade: &str, note: &str, flagged: &str, seconds: &str| {
        given.contains(&(grade.to_owned(), note.to_owned(), flagged.to_owned(), seconds.to_owned()))
    };
    assert!(
        has("", "ask the others", "false", "") && has("", "", "true", "") && has("", "", "false", "1"),
        "{given:?}"
    );
    assert_eq!(table.rows, 3);
    let elsewhere = place.path("copy");
    copy(&sheet, &elsewhere, &SHEET_FILES);
    std::fs::write(place.path("g.csv"), &table.csv).unwrap();
    import(&elsewhere, &place.path("g.csv"), None, "me").unwrap();
    let session = open(&elsewhere, "anna");
    assert_eq!((session.progress().skipped, session.progress().flagged, session.mark(0).skipped), (1, 1, false));
    assert_eq!(session.mark(0).note, "ask the others");
}

#[test]
fn a_table_is_imported_into_all_parts_of_a_split_sheet_at_once() {
    let place = Place::new();
    let answers = place.three();
    let folder = place.path("study");
    let split = Some(Split { parts: 2, overlap: 1 });
    let parts = NewSheet { split, ..place.new_sheet(&folder, &answers) }.create().unwrap().sheets;
    let items = |part: &Path| -> std::collections::BTreeSet<u64> {
        open(part, "look").deck().cards.iter().map(|card| card.question_id).collect()
    };
    let (one, two) = (items(&parts[0]), items(&parts[1]));
    let (shared, of_one) = (one.intersection(&two).next().unwrap(), one.difference(&two).next().unwrap());
    let of_two = two.difference(&one).next().unwrap();
    let table = format!(
        "rater,model_id,question_id,grade,sheet\nanna,alpha,{of_one},A,\nben,alpha,{of_two},B,study-part-2\n\
         ben,beta,{shared},C,study-part-2\nben,alpha,{shared},C,\nben,alpha,{of_one},D,study-part-2\n\
         ben,alpha,99,D,\nben,alpha,{of_two},D,\n"
    );
    std::fs::write(place.path("g.csv"), table).unwrap();
    let imported = import(&folder, &place.path("g.csv"), None, "me").unwrap();
    assert_eq!((imported.placed, imported.unplaced.len()), (3, 4), "{imported:?}");
    for (row, (line, why)) in imported.unplaced.iter().zip([
        (5, "several parts have the answer of \"alpha\""),
        (6, "no answer of \"alpha\" to question"),
        (7, "no answer of \"alpha\" to question 99 on the sheet"),
        (8, "the first is in line 3"),
    ]) {
        assert!(row.line == line && row.why.contains(why), "{row:?}");
    }
    assert_eq!(open(&parts[0], "anna").progress().graded, 1);
    assert_eq!((open(&parts[1], "ben").progress().graded, parts[0].join("ben.jsonl").exists()), (2, false));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_can_be_imported_and_exported_again(
        deeds in prop::collection::vec(
            (0usize..2, 0usize..24, 0usize..7, any::<String>(), any::<bool>(), 0.0f64..1e5), 1..30,
        ),
    ) {
        let place = Place::new();
        let sheet = place.sheet();
        let mut sessions = [open(&sheet, "anna"), open(&sheet, "ben")];
        for (rater, card, grade, note, flagged, seconds) in deeds {
            let session = &mut sessions[rater];
            match (grade, Grade::ALL.get(grade)) {
                (_, Some(grade)) => session.grade(card, *grade, seconds).unwrap(),
                (4, _) => session.skip(card, seconds).unwrap(),
                // A grade that was taken back leaves the card open, with what is noted next.
                (5, _) => {
                    session.grade(card, Grade::A, seconds).unwrap();
                    session.undo().unwrap();
                }
                _ => {}
            }
            session.note(card, &note).unwrap();
            session.flag(card, flagged).unwrap();
        }
        drop(sessions);
        let elsewhere = place.path("copy");
        copy(&sheet, &elsewhere, &SHEET_FILES);
        for which in [Which::Grades, Which::Repeats] {
            let table = export(&sheet, which, None, "me").unwrap();
            let file = place.path("grades.csv");
            std::fs::write(&file, &table.csv).unwrap();
            let imported = import(&elsewhere, &file, None, "me").unwrap();
            prop_assert_eq!((imported.placed, imported.unplaced.len()), (table.rows, 0));
            prop_assert_eq!(import(&elsewhere, &file, None, "me").unwrap().unchanged, table.rows);
            let again = export(&elsewhere, which, None, "me").unwrap();
            prop_assert_eq!(String::from_utf8(again.csv).unwrap(), String::from_utf8(table.csv).unwrap());
        }
    }
}

#[test]
fn a_kept_export_is_verified_byte_by_byte() {
    let place = Place::new();
    let sheet = place.sheet();
    open(&sheet, "anna").grade(0, Grade::A, 1.0).unwrap();
    let table = export(&sheet, Which::Grades, None, "me").unwrap().csv;
    let finding = || verify(&sheet).unwrap().into_iter().find(|finding| finding.what == "grades.csv").unwrap();
    std::fs::write(sheet.join("grades.csv"), &table).unwrap();
    assert!(finding().is_good);
    open(&sheet, "anna").grade(1, Grade::B, 1.0).unwrap();
    assert!(!finding().is_good);
    let log = std::fs::read_to_string(sheet.join("unblinded.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 1);
}
