//! An LLM as a judge of answers, or no model at all; and whether the judge may be believed.
//!
//! ```text
//! judges/<name>/ -> Definition ─┐
//! answers, evalset ─────────────┴─> Plan -> Ask -> prompt -> (server) -> reply -> JudgementRow
//!                                                                                    │
//! human grades ─────────────────────────────────────> Check ─┐                       v
//! probes ───────────────────────────────────────────> Trial ─┴──> Summary <── Opinion of each answer
//! ```
//!
//! - Everything that is asked has a digest, and what was answered is never asked again.
//! - A reply that cannot be read is asked for once more and then missing; nothing missing is ever a number.
//! - A judge is `unchecked` until human grades of the same answers say otherwise.

mod agreement;
mod answers;
mod budget;
mod check;
mod course;
mod definition;
mod folder;
mod group;
mod human;
mod offline;
mod plan;
mod probe;
mod prompt;
mod reference;
mod reply;
mod row;
mod scale;
mod summary;
mod tally;
mod trial;

pub use agreement::{Agreement, check};
pub use answers::{Answers, AnswersId};
pub use budget::{Budget, Tokens};
pub use check::{Check, GradesId, Interval, LeftOut, Powered};
pub use course::{AskFailure, Course, Ended, Event, Outcome, Outlook};
pub use definition::{
    AgreementStatistic, Definition, JudgeKind, Orders, PicturePolicy, Price, ProbePlan, Standard, built_in_names,
};
pub use folder::{JUDGEMENTS, JudgementFolder, Known, SUMMARY};
pub use group::{GradeLine, Group, MeasureLine, PairLine, ScoreLine};
pub use human::Graded;
pub use offline::judge_offline;
pub use plan::{Ask, Missing, Plan, Prepared, Target};
pub use probe::ProbeKind;
pub use reference::{Measures, measure};
pub use reply::{Said, Wanted, parse};
pub use row::{JudgementRow, PicturesShown, Usage, Verdict};
pub use scale::Scale;
pub use summary::{AskCounts, Coverage, JudgeId, Licence, Material, PictureCounts, SUMMARY_SCHEMA, Summary};
pub use trial::Trial;
