//! The gallery of a page.

use super::super::*;
use super::runs::Asked;

fn page(request: &Request) -> String {
    String::from_utf8(files(&build(request).unwrap()).unwrap()["index.html"].clone()).unwrap()
}

#[test]
fn picture_conversation_and_answers_stand_in_the_gallery_with_grades_and_scores() {
    let asked = Asked::new();
    let grades =
        "rater,model_id,question_id,grade\nanna,owl,1,A\nben,owl,1,C\nanna,owl,2,B\nben,owl,2,B\nanna,owl,3,A\n";
    std::fs::write(asked.path().join("grades.csv"), grades).unwrap();
    let request = Request { grades: vec![asked.path().join("grades.csv")], ..asked.request(&["runs/owl"], &[]) };
    let page = page(&request);
    assert_eq!(page.matches("<img src=\"data:image/png;base64,").count(), 2, "two pictures, once each");
    assert_eq!(page.matches(" src=\"").count(), 2);
    assert!(page.contains("img-src data:; base-uri 'none'"));
    assert_eq!(page.matches("<article").count(), 2);
    let second =
        page.split("id=\"question-2\"").nth(1).and_then(|rest| rest.split("id=\"question-3\"").next()).unwrap();
    assert!(second.contains("It is two.") && second.contains("title=\"ben\">B</abbr>"), "{second}");
    assert!(second.contains(">wrong</span>") && second.contains("accepted: two"), "{second}");
    for forbidden in ["<script", "style=\"", "javascript:", "src=\"http"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    for link in page.split("href=\"#").skip(1) {
        let target = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
    }
}

#[test]
fn each_filter_has_a_rule_that_hides_the_questions_which_are_none_of_its_own() {
    let asked = Asked::new();
    let grades = "rater,model_id,question_id,grade\nanna,owl,1,A\nben,owl,1,C\nanna,owl,2,B\nben,owl,2,B\n";
    std::fs::write(asked.path().join("grades.csv"), grades).unwrap();
    let request = Request { grades: vec![asked.path().join("grades.csv")], ..asked.request(&["runs/owl"], &[]) };
    let page = page(&request);
    let labels: Vec<&str> = page
        .split("<label for=\"filter-")
        .skip(1)
        .filter_map(|rest| rest.split('>').nth(1)?.split('<').next())
        .collect();
    // Question 4 has no answer and no grade: it is counted nowhere.
    let expected = [
        "all questions (3)",
        "single turn (3)",
        "a: instruction understanding (3)",
        "raters two grades apart (1)",
        "some answer is wrong (1)",
    ];
    assert_eq!(labels, expected);
    for (number, question) in [(3, 1), (4, 2)] {
        assert!(page.contains(&format!("#filter-{number}:checked) :is(.turn, .item):not(.f{number})")));
        let turn =
            page.split(&format!("\" id=\"question-{question}\"")).next().and_then(|before| before.rsplit('"').next());
        assert!(turn.unwrap().split(' ').any(|class| class == format!("f{number}")), "{turn:?}");
    }
}

#[test]
fn pictures_can_be_left_out_and_without_an_evalset_there_is_no_gallery() {
    let asked = Asked::new();
    let mut request = asked.request(&["runs/owl"], &[]);
    request.options.no_pictures = true;
    let without = page(&request);
    assert!(!without.contains("<img") && !without.contains("img-src") && without.contains("It is two."));
    assert_eq!(without.matches("<p class=\"absent\">").count(), 2);
    let request = Request {
        evalset: None,
        answers: vec![asked.path().join("runs/owl/answers.jsonl")],
        ..asked.request(&[], &[])
    };
    assert!(!page(&request).contains("id=\"gallery\""));
}

#[test]
fn answers_are_nothing_but_text() {
    let asked = Asked::new();
    asked.run("runs/evil", "evil", &["<img src=x onerror=alert(1)>", "</p></details>\u{202e}\n\nsecond line", "a&b"]);
    let page = page(&asked.request(&["runs/evil"], &[]));
    assert!(!page.contains("<img src=x") && !page.contains('\u{202e}'), "{page}");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
    // Lines of an answer stay lines.
    assert!(page.contains("\n\nsecond line</p>"));
    assert_eq!(page.matches("</details>").count(), page.matches("<details>").count());
}

#[test]
fn grades_of_another_text_than_the_one_shown_are_refused() {
    let asked = Asked::new();
    let grades = format!("rater,model_id,question_id,grade,answer_sha256\nanna,owl,1,A,{}\n", "0".repeat(64));
    std::fs::write(asked.path().join("grades.csv"), grades).unwrap();
    let request = Request { grades: vec![asked.path().join("grades.csv")], ..asked.request(&["runs/owl"], &[]) };
    let error = build(&request).unwrap_err();
    assert!(error.to_string().contains("grades.csv:2: another text of owl to question 1 was graded"), "{error}");
}
