//! `owleval chat`: a conversation through standard input, with the built-in model.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn chat(arguments: &[&str], lines: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_owleval"))
        .arg("chat")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn questions_about_a_picture_are_answered_and_the_second_one_knows_the_first() {
    let output = chat(
        &["--json"],
        "/image evalsets/mini/cases/01.png\ntell me the colour of the large triangle\nwhere is it?\n/new\nwhat is 3 plus 4?\n",
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let answers: Vec<serde_json::Value> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["answer"], "yellow", "the reference of mini's first question");
    let tokens = |index: usize| answers[index]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens(1) > tokens(0), "the second question comes after the first");
    assert!(tokens(2) < tokens(0), "a new conversation has no picture and no past");
}

#[test]
fn what_cannot_be_done_is_said_and_the_conversation_goes_on() {
    let output = chat(&[], "/image no-such.png\n/dance\nwhat is 3 plus 4?\n");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("no-such.png") && stderr.contains("/dance"), "{stderr}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
}
