//! A row of `judgements.jsonl`.

use serde::{Deserialize, Serialize};

use super::probe::ProbeKind;
use super::reference::Measures;
use super::reply::Said;
use crate::record::{FinishReason, Grade};

/// What one ask gave. A reply that could not be read is a row too: it was answered, and is not asked again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgementRow {
    pub judge: String,
    pub judge_sha256: String,
    /// The model that judged; null for a reference judge.
    pub judge_model: Option<String>,
    /// Whose answer is judged.
    pub model_id: String,
    /// Whose answer it is judged against.
    pub against: Option<String>,
    pub question_id: u64,
    /// 0: `model_id` was shown first; 1: `against` was.
    pub order: u8,
    pub repeat: u32,
    /// 1 where the judge was told that its first reply could not be read.
    #[serde(default)]
    pub attempt: u8,
    /// An ask that puts the judge to the proof, and says nothing of the answer.
    #[serde(default)]
    pub probe: Option<ProbeKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Of `model_id` and of `against`, whichever was shown first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<[f64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Grade>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<Measures>,
    pub verdict: Verdict,
    /// What the judge said, whole; null for a reference judge.
    pub reply: Option<String>,
    pub finish_reason: Option<FinishReason>,
    pub pictures: PicturesShown,
    pub answer_sha256: String,
    #[serde(default)]
    pub against_sha256: Option<String>,
    /// Digest of all that was asked: judge, prompt, pictures, decoding.
    pub request_sha256: String,
    pub usage: Usage,
    /// UTC, RFC 3339.
    pub at: String,
}

/// How an ask came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Scored,
    Graded,
    /// `model_id` has the higher score.
    Win,
    Tie,
    Loss,
    /// The reply could not be read.
    Unparsed,
}

/// Whether the judge saw what the question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PicturesShown {
    /// The question has none.
    None,
    Shown,
    /// The server takes no pictures, or the judge wants none.
    Withheld,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub elapsed_ms: u64,
}

impl JudgementRow {
    /// Writes what was read into the row; `None` is `unparsed`.
    ///
    /// Scores are turned round where `against` was shown first.
    pub fn set(&mut self, said: Option<Said>) {
        self.verdict = match said {
            None => Verdict::Unparsed,
            Some(Said::Score(score)) => {
                self.score = Some(score);
                Verdict::Scored
            }
            Some(Said::Grade(grade)) => {
                self.grade = Some(grade);
                Verdict::Graded
            }
            Some(Said::Scores([first, second])) => {
                let [own, other] = if self.order == 0 { [first, second] } else { [second, first] };
                self.scores = Some([own, other]);
                match own.total_cmp(&other) {
                    std::cmp::Ordering::Greater => Verdict::Win,
                    std::cmp::Ordering::Equal => Verdict::Tie,
                    std::cmp::Ordering::Less => Verdict::Loss,
                }
            }
        };
    }

    pub fn is_read(&self) -> bool {
        self.verdict != Verdict::Unparsed
    }
}
