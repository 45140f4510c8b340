//! Raters beside each other, the plan of how much more to grade, and LaTeX.

use super::super::*;
use super::{Place, two_raters};

/// `two_raters` and a third, who agrees with anna but for one grade.
fn three_raters() -> String {
    let mut text = two_raters();
    let anna: Vec<String> = text.lines().filter(|line| line.starts_with("s,anna,")).map(str::to_owned).collect();
    for (index, line) in anna.iter().enumerate() {
        let line = line.replace("s,anna,", "s,zoe,");
        text.push_str(&if index == 0 { line.replace(",A,", ",D,") } else { line });
        text.push('\n');
    }
    text
}

#[test]
fn three_raters_are_set_beside_each_other_and_two_are_not() {
    let report = Place::new(&[("grades.csv", &three_raters())]).report();
    let files = files(&report).unwrap();
    let csv = String::from_utf8(files["tables/agreement_pairs.csv"].clone()).unwrap();
    let pairs: Vec<String> =
        csv.lines().skip(1).map(|line| line.split(',').take(4).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(pairs, ["anna,ben,8,0.5", "anna,zoe,8,0.875", "ben,zoe,8,0.375"]);
    let figure = String::from_utf8(files["figures/agreement_pairs.svg"].clone()).unwrap();
    assert!(figure.contains("anna and zoe: equal grades 87.5 %"), "{figure}");
    // Names and squares of three raters: three on the diagonal, two halves of three.
    assert_eq!(figure.matches("class=\"cell-").count(), 9);
    let two = files_of(&two_raters());
    assert!(!two.contains_key("tables/agreement_pairs.csv") && !two.contains_key("figures/agreement_pairs.svg"));
}

fn files_of(text: &str) -> std::collections::BTreeMap<String, Vec<u8>> {
    files(&Place::new(&[("grades.csv", text)]).report()).unwrap()
}

#[test]
fn a_plan_says_what_it_takes_to_tell_models_apart_and_is_verified() {
    let place = Place::new(&[("grades.csv", &two_raters())]);
    let mut request = place.request(&["grades.csv"]);
    assert_eq!(build(&request).unwrap().plan, None);
    request.options.plan = true;
    let report = write(&request).unwrap();
    let plan = report.plan.unwrap();
    assert_eq!((plan.pictures, plan.questions), (3, 4));
    let powers: Vec<f64> = plan.differences.iter().filter_map(|planned| planned.power_now).collect();
    // Three pictures: of eight flips two are as extreme as the most extreme one, so that no p is below 1/4.
    assert_eq!(powers, [0.0; 4]);
    let pair = &plan.pairs[0];
    assert_eq!((pair.model_a.as_str(), pair.model_b.as_str(), pair.planned.difference), ("owl", "cat", 0.625));
    let pictures = pair.planned.pictures.unwrap();
    // The exact test needs at least six pictures for any p of 5 %.
    assert!((6..60).contains(&pictures), "{pictures}");
    assert_eq!(pair.planned.more_grades, pair.planned.questions.map(|questions| 2 * (questions - 4)));
    let page = std::fs::read_to_string(request.out.join("index.html")).unwrap();
    assert!(page.contains("not even a difference of 20 points"), "{page}");
    assert!(verify(&request.out).unwrap().iter().all(|finding| finding.is_good));
}

#[test]
fn tables_for_latex_have_balanced_braces_and_whole_rows() {
    let hostile = "{\\x & % $ # _ ^ ~ [a] \" -- '`";
    let text = three_raters().replace("owl", &format!("\"{}\"", hostile.replace('"', "\"\"")));
    let mut read = 0;
    for (name, bytes) in files_of(&text) {
        if !name.ends_with(".tex") {
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        let text = text.replace("\\\\", "\n").replace("\\textbackslash{}", "");
        let plain: String = text.replace("\\{", "").replace("\\}", "").replace("\\&", "");
        let mut depth = 0;
        for character in plain.chars() {
            depth += i32::from(character == '{') - i32::from(character == '}');
            assert!(depth >= 0, "{name}: {plain}");
        }
        assert_eq!(depth, 0, "{name}");
        let format = plain.split("@{}").nth(1).unwrap();
        assert!(format.chars().all(|column| "lr".contains(column)), "{name}: {format}");
        let of_rows = plain.lines().filter(|line| line.contains(" & "));
        for line in of_rows {
            assert_eq!(line.matches(" & ").count() + 1, format.len(), "{name}: {line}");
        }
        let rules: Vec<usize> =
            ["\\toprule", "\\midrule", "\\bottomrule"].iter().filter_map(|rule| plain.find(rule)).collect();
        assert!(rules.len() == 3 && rules.is_sorted(), "{name}: {plain}");
        assert_eq!((plain.matches("\\begin{tabular}").count(), plain.matches("\\end{tabular}").count()), (1, 1));
        read += 1;
    }
    assert!(read >= 6, "{read}");
}
