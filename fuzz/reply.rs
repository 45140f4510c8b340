//! Any text as the reply of a judge: the parser does not fail, gives nothing that is not on the menu, and takes the last
//! verdict whatever stands before it.
//!
//! The parser's own files are compiled, without the program around them, so that a build takes seconds.
#![no_main]

use libfuzzer_sys::fuzz_target;

use judge::reply::{Said, Wanted, parse};
use judge::scale::Scale;

#[allow(dead_code)]
#[path = "../src/judge"]
mod judge {
    pub mod reply;
    pub mod scale;
}

#[allow(dead_code)]
#[path = "../src/record"]
mod record {
    mod grade;
    pub use grade::Grade;
}

const TEN: Scale = Scale(1.0, 10.0);

fuzz_target!(|reply: &str| {
    match parse(reply, Wanted::Score(TEN)) {
        None => {}
        Some(Said::Score(score)) => assert!(TEN.holds(score)),
        Some(other) => panic!("{other:?} is no score"),
    }
    match parse(reply, Wanted::Scores(TEN)) {
        None => {}
        Some(Said::Scores(scores)) => assert!(scores.iter().all(|score| TEN.holds(*score))),
        Some(other) => panic!("{other:?} are no scores"),
    }
    assert!(matches!(parse(reply, Wanted::Grade), None | Some(Said::Grade(_))));

    // An open block of reasoning or an open object may take what follows with it.
    if !reply.contains("<think>") && !reply.contains('{') {
        let end = |verdict: &str, wanted| parse(&format!("{reply}\n\nDone.\n\n{verdict}"), wanted);
        assert_eq!(end("Score: [[7]]", Wanted::Score(TEN)), Some(Said::Score(7.0)));
        assert_eq!(end("Scores: [[7, 3]]", Wanted::Scores(TEN)), Some(Said::Scores([7.0, 3.0])));
        assert_eq!(end("Grade: [[B]]", Wanted::Grade), Some(Said::Grade(record::Grade::B)));
    }
});
