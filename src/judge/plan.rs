//! What is asked of a judge: every answer, in every order, so often, and the probes.

use super::answers::{Answers, text_sha256};
use super::definition::{Definition, JudgeKind, Orders};
use super::probe::{ProbeKind, spread};
use super::prompt::{self, Material, Shown};
use super::reply::Wanted;
use super::row::{JudgementRow, PicturesShown, Usage, Verdict};
use crate::backend::http::{ChatMessage, ChatRequest, ChatRole};
use crate::error::{Error, Result};
use crate::evalset::{EvalSet, ImageBytes, Item, Part, Turn};

/// An answer that can be judged.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// Which of the plan's answers.
    pub answers: usize,
    pub item: &'a Item,
    /// 0-based.
    pub turn: usize,
    pub answer: &'a str,
    /// The other one, for a judge of pairs.
    pub against: Option<&'a str>,
}

impl Target<'_> {
    pub fn asked(&self) -> &Turn {
        &self.item.turns[self.turn]
    }
}

/// A question whose answer cannot be judged, or was not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Missing {
    pub model_id: String,
    pub question_id: u64,
    pub why: String,
}

/// One thing to ask the judge, perhaps twice if its first reply cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Which of the plan's targets.
    pub target: usize,
    /// 1: the other answer is shown first.
    pub order: u8,
    pub repeat: u32,
    pub probe: Option<ProbeKind>,
}

/// Everything that a judge is asked.
#[derive(Debug)]
pub struct Plan<'a> {
    pub judge: &'a Definition,
    pub evalset: &'a EvalSet,
    pub answers: &'a [Answers],
    pub against: Option<&'a Answers>,
    pub targets: Vec<Target<'a>>,
    /// Answers that are not there.
    pub missing: Vec<Missing>,
    /// Questions that were not asked of a model, or not of both: they are left out, and nothing is missing there.
    pub unselected: usize,
    pub repeats: u32,
    pub asks: Vec<Ask>,
}

/// What is sent for an ask, and what its reply must look like.
#[derive(Debug)]
pub struct Prepared {
    pub chat: ChatRequest,
    pub wanted: Wanted,
    pub pictures: PicturesShown,
}

impl<'a> Plan<'a> {
    /// Plans the judging of answers. `repeats` (at least 1) and `with_probes` are the user's.
    ///
    /// # Errors
    /// Where a judge of pairs has nothing to compare with, another has, or two answers have one model's name.
    pub fn new(
        judge: &'a Definition,
        evalset: &'a EvalSet,
        answers: &'a [Answers],
        against: Option<&'a Answers>,
        repeats: u32,
        with_probes: bool,
    ) -> Result<Self> {
        match (judge.kind, against) {
            (JudgeKind::Pair, None) => {
                return Err(Error::input(format!("the judge {} compares two models, and one is given", judge.name))
                    .remedy("give the other answers with --against"));
            }
            (JudgeKind::Single | JudgeKind::Grade | JudgeKind::Reference, Some(_)) => {
                return Err(Error::input(format!("the judge {} judges one answer by itself", judge.name))
                    .remedy("leave --against out, or choose a judge of pairs, such as pair"));
            }
            _ => {}
        }
        let mut names: Vec<&str> = answers.iter().chain(against).map(|answers| answers.model_id.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::input(format!("two of the answers are those of the model {}", twice[0]))
                .remedy("leave one of them out; the rows would not tell them apart"));
        }
        let mut plan = Self {
            judge,
            evalset,
            answers,
            against,
            targets: Vec::new(),
            missing: Vec::new(),
            unselected: 0,
            repeats,
            asks: Vec::new(),
        };
        plan.find_targets();
        plan.list_asks(with_probes);
        if plan.targets.is_empty() {
            let message = format!("there is nothing that the judge {} could judge", judge.name);
            return Err(match judge.kind {
                JudgeKind::Reference => Error::input(message)
                    .remedy(format!("no answered question of {} has a reference; choose another judge", evalset.name)),
                _ => Error::input(message).remedy("every answer is missing or a remark in an answer's place"),
            });
        }
        Ok(plan)
    }

    /// Whether such a judge can judge answers to the question.
    pub fn judges(&self, turn: &Turn) -> bool {
        self.judge.kind != JudgeKind::Reference || !turn.reference.is_empty()
    }

    /// Whether the model of these answers was asked the question, and the one beside it too.
    pub fn was_asked(&self, answers: usize, turn: &Turn) -> bool {
        self.answers[answers].was_asked(turn.question_id)
            && self.against.is_none_or(|against| against.was_asked(turn.question_id))
    }

    fn find_targets(&mut self) {
        for (index, answers) in self.answers.iter().enumerate() {
            for item in &self.evalset.items {
                for (turn, asked) in item.turns.iter().enumerate() {
                    if !self.judges(asked) {
                        continue;
                    }
                    if !self.was_asked(index, asked) {
                        self.unselected += 1;
                        continue;
                    }
                    let missing =
                        |why| Missing { model_id: answers.model_id.clone(), question_id: asked.question_id, why };
                    let answer = match answers.find(asked.question_id) {
                        Ok(answer) => answer,
                        Err(why) => {
                            self.missing.push(missing(why));
                            continue;
                        }
                    };
                    let against = match self.against.map(|against| (against, against.find(asked.question_id))) {
                        Some((against, Err(why))) => {
                            self.missing.push(missing(format!("of {}: {why}", against.model_id)));
                            continue;
                        }
                        Some((_, Ok(text))) => Some(text),
                        None => None,
                    };
                    self.targets.push(Target { answers: index, item, turn, answer, against });
                }
            }
        }
    }

    fn list_asks(&mut self, with_probes: bool) {
        let orders = match (self.judge.kind, self.judge.orders) {
            (JudgeKind::Pair, Orders::Both) => 2,
            _ => 1,
        };
        for target in 0..self.targets.len() {
            for repeat in 0..self.repeats {
                self.asks.extend((0..orders).map(|order| Ask { target, order, repeat, probe: None }));
            }
        }
        if with_probes && self.judge.kind != JudgeKind::Reference {
            for probe in ProbeKind::ALL {
                let chosen = spread(self.targets.len(), self.judge.probes.each);
                for (index, target) in chosen.into_iter().enumerate() {
                    if probe == ProbeKind::Swapped && self.other_answer(target).is_none() {
                        continue;
                    }
                    // Both places are tried, so that a judge who likes the first one best is not taken for a fooled one.
                    let order = if self.judge.kind == JudgeKind::Pair { (index % 2) as u8 } else { 0 };
                    self.asks.push(Ask { target, order, repeat: 0, probe: Some(probe) });
                }
            }
        }
    }

    /// The answer of the same model to the question of the next other conversation, if its text differs.
    fn other_answer(&self, target: usize) -> Option<&'a str> {
        let own = &self.targets[target];
        let (before, after) = self.targets.split_at(target);
        after
            .iter()
            .chain(before)
            .find(|other| {
                other.answers == own.answers && other.item.id != own.item.id && other.answer.trim() != own.answer.trim()
            })
            .map(|other| other.answer)
    }

    /// The answer under judgement and the one beside it, as an ask has them; a probe sets the altered answer beside the
    /// true one.
    fn texts(&self, ask: &Ask) -> (String, Option<String>) {
        let target = &self.targets[ask.target];
        match ask.probe {
            None => (target.answer.to_owned(), target.against.map(str::to_owned)),
            Some(probe) => {
                let other = self.other_answer(ask.target).unwrap_or_default();
                let altered = probe.alter(target.answer, other, self.judge.kind, self.judge.scale);
                (altered, (self.judge.kind == JudgeKind::Pair).then(|| target.answer.to_owned()))
            }
        }
    }

    /// The name of the model whose answer stands beside the one under judgement.
    fn beside(&self, ask: &Ask) -> Option<&Answers> {
        match ask.probe {
            None => self.against,
            Some(_) => (self.judge.kind == JudgeKind::Pair).then(|| &self.answers[self.targets[ask.target].answers]),
        }
    }

    /// Makes the request of an ask; `pictures` are those of its item, or none where they are withheld.
    ///
    /// # Errors
    /// Where the judge's template cannot be used.
    pub fn prepare(&self, ask: &Ask, pictures: &[ImageBytes]) -> Result<Prepared> {
        let target = &self.targets[ask.target];
        let own = &self.answers[target.answers];
        let (answer, against) = self.texts(ask);
        let mut shown = vec![Shown { answer: &answer, earlier: own.earlier(target.item, target.turn) }];
        if let (Some(text), Some(beside)) = (&against, self.beside(ask)) {
            shown.push(Shown { answer: text, earlier: beside.earlier(target.item, target.turn) });
        }
        if ask.order == 1 {
            shown.reverse();
        }
        let asked = target.asked();
        let (id, order, repeat) = (asked.question_id.to_string(), ask.order.to_string(), ask.repeat.to_string());
        let probe = ask.probe.map_or("", ProbeKind::name);
        let beside = self.beside(ask).map_or("", |answers| answers.model_id.as_str());
        let mut parts = vec![self.judge.sha256.as_str(), &own.model_id, beside, &id, &order, &repeat, probe];
        for one in &shown {
            parts.push(one.answer);
            parts.extend(one.earlier.iter().map(|text| text.unwrap_or_default()));
        }
        let nonce = prompt::nonce(&parts);
        let material = Material {
            question: &asked.question,
            earlier: target.item.turns.iter().take(target.turn).map(|turn| turn.question.as_str()).collect(),
            references: &asked.reference,
            pictures: pictures.len(),
            answers: shown,
        };
        let text = prompt::render(self.judge, &material, &nonce)?;
        let mut messages = Vec::new();
        if let Some(system) = &self.judge.system {
            messages.push(message(ChatRole::System, system.trim()));
        }
        let mut parts: Vec<Part> = pictures.iter().cloned().map(Part::Image).collect();
        parts.push(Part::Text(text));
        messages.push(ChatMessage { role: ChatRole::User, parts });
        let mut decoding = self.judge.decoding.clone();
        decoding.seed = decoding.seed.wrapping_add(u64::from(ask.repeat));
        Ok(Prepared {
            chat: ChatRequest { messages, decoding, extra: serde_json::Map::new() },
            wanted: self.judge.wanted(),
            pictures: match (target.item.images.is_empty(), pictures.is_empty()) {
                (true, _) => PicturesShown::None,
                (false, true) => PicturesShown::Withheld,
                (false, false) => PicturesShown::Shown,
            },
        })
    }

    /// The request after one whose reply could not be read: the same, with the format spelled out at its end. The reply
    /// itself is left out, because a weak judge that sees it says it again.
    pub fn again(&self, mut prepared: Prepared) -> Prepared {
        let last = prepared.chat.messages.last_mut().and_then(|message| message.parts.last_mut());
        if let Some(Part::Text(text)) = last {
            text.push_str("\n\n");
            text.push_str(self.judge.again.trim());
        }
        prepared
    }

    /// The row of an ask, before anything was said.
    pub fn row(&self, ask: &Ask, judge_model: Option<&str>, request_sha256: String, at: String) -> JudgementRow {
        let target = &self.targets[ask.target];
        let (answer, against) = self.texts(ask);
        JudgementRow {
            judge: self.judge.name.clone(),
            judge_sha256: self.judge.sha256.clone(),
            judge_model: judge_model.map(str::to_owned),
            model_id: self.answers[target.answers].model_id.clone(),
            against: self.beside(ask).map(|answers| answers.model_id.clone()),
            question_id: target.asked().question_id,
            order: ask.order,
            repeat: ask.repeat,
            attempt: 0,
            probe: ask.probe,
            score: None,
            scores: None,
            grade: None,
            measures: None,
            verdict: Verdict::Unparsed,
            reply: None,
            finish_reason: None,
            pictures: PicturesShown::None,
            answer_sha256: text_sha256(&answer),
            against_sha256: against.map(|text| text_sha256(&text)),
            request_sha256,
            usage: Usage::default(),
            at,
        }
    }
}

fn message(role: ChatRole, text: &str) -> ChatMessage {
    ChatMessage { role, parts: vec![Part::Text(text.to_owned())] }
}

#[cfg(test)]
mod tests;
