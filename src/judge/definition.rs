//! `judges/<name>/`: what a judge is asked, how its replies are read, and what it must reach to be believed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::reply::Wanted;
use super::scale::Scale;
use crate::backend::Decoding;
use crate::error::{Error, IoContext as _, Result};

/// The folder `judges/` as it was at compile time. A new judge is named in `judges/README.md`, so that cargo sees a
/// changed file and embeds it.
static JUDGES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/judges");

const SETTINGS: &str = "judge.toml";
const PROMPT: &str = "prompt.md";

/// Neither file of a judge is larger.
const MAX_BYTES: u64 = 1 << 20;

/// A judge, read from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub name: String,
    pub version: Option<String>,
    pub description: Option<String>,
    pub kind: JudgeKind,
    pub scale: Scale,
    pub orders: Orders,
    /// How often each question is judged, at least 1.
    pub repeats: u32,
    pub pictures: PicturePolicy,
    /// Whether the judge is shown the reference answers.
    pub references: bool,
    /// The share of the answers that must be judged before a table is made of them.
    pub coverage: f64,
    pub system: Option<String>,
    /// What the judge is told when its reply cannot be read.
    pub again: String,
    pub decoding: Decoding,
    pub price: Option<Price>,
    /// So many characters of an answer are shown.
    pub answer_chars: usize,
    pub probes: ProbePlan,
    pub standard: Option<Standard>,
    /// The template; empty for a reference judge.
    pub prompt: String,
    /// Digest of both files, for every rating.
    pub sha256: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeKind {
    /// Two answers, a score each.
    Pair,
    /// One answer, a score.
    Single,
    /// One answer, a grade from A to D.
    Grade,
    /// No model: the answer beside the references.
    Reference,
}

/// In which orders two answers are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orders {
    #[default]
    Both,
    First,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PicturePolicy {
    /// Shown where the server takes them.
    #[default]
    Auto,
    Never,
}

/// What a million tokens cost, in whatever currency both prices and the budget are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub prompt: f64,
    pub completion: f64,
}

/// How the judge is put to the proof in every run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProbePlan {
    /// Questions a probe; 0 for none.
    pub each: usize,
    /// The share of them that may fool the judge.
    pub at_most: f64,
}

impl Default for ProbePlan {
    fn default() -> Self {
        Self { each: 6, at_most: 0.2 }
    }
}

/// What the judge must reach beside human grades to be licensed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standard {
    pub statistic: AgreementStatistic,
    /// What the lower bound of its interval must reach.
    pub at_least: f64,
    /// For scores: the lowest ones that count as A, B and C.
    pub cuts: Option<[f64; 3]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgreementStatistic {
    KappaLinear,
    KappaQuadratic,
    AlphaOrdinal,
}

/// `judge.toml` as written. Unknown fields are no error.
#[derive(Deserialize)]
struct Written {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    kind: JudgeKind,
    scale: Option<Scale>,
    #[serde(default)]
    orders: Orders,
    repeats: Option<u32>,
    #[serde(default)]
    pictures: PicturePolicy,
    references: Option<bool>,
    coverage: Option<f64>,
    system: Option<String>,
    again: Option<String>,
    #[serde(default)]
    decoding: WrittenDecoding,
    price: Option<Price>,
    #[serde(default)]
    limits: WrittenLimits,
    #[serde(default)]
    probes: ProbePlan,
    check: Option<Standard>,
}

#[derive(Deserialize, Default)]
struct WrittenDecoding {
    max_new_tokens: Option<usize>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<u64>,
}

#[derive(Deserialize, Default)]
struct WrittenLimits {
    answer_chars: Option<usize>,
}

impl Definition {
    /// Finds a judge: a built-in name, or a folder with `judge.toml` (and `prompt.md`, unless it is a reference judge).
    ///
    /// # Errors
    /// Where there is no such judge, or its files cannot be used; nothing is asked of anybody.
    pub fn open(name_or_folder: impl AsRef<OsStr>) -> Result<Self> {
        let given = name_or_folder.as_ref();
        let built_in = built_in_names().into_iter().find(|name| OsStr::new(name) == given);
        if let Some(folder) = built_in.and_then(|name| JUDGES.get_dir(name)) {
            let file = |name: &str| folder.get_file(folder.path().join(name)).map(|file| file.contents().to_vec());
            let settings = file(SETTINGS).unwrap_or_default();
            return Self::read(Path::new("judges").join(folder.path()), &settings, file(PROMPT).as_deref());
        }
        let folder = PathBuf::from(given);
        if !folder.is_dir() {
            return Err(Error::input(format!("there is no judge and no folder named {}", folder.display()))
                .remedy(format!("built in: {}; or give a folder with {SETTINGS}", built_in_names().join(", "))));
        }
        let settings = read(&folder.join(SETTINGS))?;
        let prompt = folder.join(PROMPT);
        let prompt = if prompt.is_file() { Some(read(&prompt)?) } else { None };
        Self::read(folder, &settings, prompt.as_deref())
    }

    /// Reads the bytes of both files; `folder` is named in errors.
    fn read(folder: PathBuf, settings: &[u8], prompt: Option<&[u8]>) -> Result<Self> {
        let (settings_path, prompt_path) = (folder.join(SETTINGS), folder.join(PROMPT));
        let text = |bytes: &[u8], path: &Path| {
            String::from_utf8(bytes.to_vec()).map_err(|_| Error::input("the file is not UTF-8").at(path))
        };
        let written: Written = toml::from_str(&text(settings, &settings_path)?).map_err(|source| {
            Error::input(format!("not the settings of a judge: {}", source.message()))
                .at(&settings_path)
                .remedy("judges/README.md says what stands in it")
                .source(source)
        })?;
        let mut digest = Sha256::new();
        digest.update(format!("{}  {SETTINGS}\n", hex::encode(Sha256::digest(settings))));
        let template = match prompt {
            Some(bytes) => {
                digest.update(format!("{}  {PROMPT}\n", hex::encode(Sha256::digest(bytes))));
                text(bytes, &prompt_path)?
            }
            None if written.kind == JudgeKind::Reference => String::new(),
            None => {
                return Err(Error::input("the judge has no prompt")
                    .at(prompt_path)
                    .remedy("copy the one of a built-in judge and change it"));
            }
        };
        let name_of_folder = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let defaults = Decoding::default();
        let definition = Self {
            name: written.name.filter(|name| !name.trim().is_empty()).unwrap_or_else(name_of_folder),
            version: written.version,
            description: written.description,
            kind: written.kind,
            scale: written.scale.unwrap_or(match written.kind {
                JudgeKind::Reference => Scale(0.0, 1.0),
                _ => Scale(1.0, 10.0),
            }),
            orders: written.orders,
            repeats: written.repeats.unwrap_or(1),
            pictures: written.pictures,
            references: written.references.unwrap_or(true),
            coverage: written.coverage.unwrap_or(0.9),
            system: written.system,
            again: written
                .again
                .unwrap_or_else(|| "An earlier reply of yours could not be read. Give the verdict alone.".to_owned()),
            decoding: Decoding {
                max_new_tokens: written.decoding.max_new_tokens.unwrap_or(512),
                temperature: written.decoding.temperature.unwrap_or(0.0),
                top_p: written.decoding.top_p,
                seed: written.decoding.seed.unwrap_or(0),
                ..defaults
            },
            price: written.price,
            answer_chars: written.limits.answer_chars.unwrap_or(8000),
            probes: written.probes,
            standard: written.check,
            prompt: template,
            sha256: hex::encode(digest.finalize()),
        };
        definition.refuse_nonsense().map_err(|message| {
            Error::input(message).at(&settings_path).remedy("judges/README.md says what stands in it")
        })?;
        Ok(definition)
    }

    /// The form of the verdict that this judge is asked for. A reference judge is asked for none.
    pub fn wanted(&self) -> Wanted {
        match self.kind {
            JudgeKind::Pair => Wanted::Scores(self.scale),
            JudgeKind::Grade => Wanted::Grade,
            JudgeKind::Single | JudgeKind::Reference => Wanted::Score(self.scale),
        }
    }

    fn refuse_nonsense(&self) -> Result<(), String> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let Scale(low, high) = self.scale;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(format!("a scale from {low} to {high} has no room for a score"));
        }
        if self.repeats == 0 || self.decoding.max_new_tokens == 0 || self.answer_chars == 0 {
            return Err("repeats, max_new_tokens and answer_chars must be at least 1".to_owned());
        }
        if !share(self.coverage) || !share(self.probes.at_most) {
            return Err("coverage and at_most are shares, from 0 to 1".to_owned());
        }
        if !not_negative(self.decoding.temperature) {
            return Err("the temperature must not be negative".to_owned());
        }
        if self.price.is_some_and(|price| !not_negative(price.prompt) || !not_negative(price.completion)) {
            return Err("a price must not be negative".to_owned());
        }
        match self.standard.as_ref().and_then(|standard| standard.cuts) {
            Some([a, b, c]) if !(a > b && b > c) => {
                Err("the cuts must fall: the lowest score of A, of B, of C".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// The names of the judges in the binary, sorted.
pub fn built_in_names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = JUDGES
        .dirs()
        .filter(|folder| folder.get_file(folder.path().join(SETTINGS)).is_some())
        .filter_map(|folder| folder.path().to_str())
        .collect();
    names.sort_unstable();
    names
}

fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).or_at("cannot read", path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).or_at("cannot read", path)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::input(format!("larger than {MAX_BYTES} bytes")).at(path));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_judges_can_be_read_and_differ_in_their_digests() {
        assert_eq!(built_in_names(), ["grade", "pair", "reference", "short", "single"]);
        let judges: Vec<Definition> = built_in_names().iter().map(|name| Definition::open(name).unwrap()).collect();
        let digests: std::collections::BTreeSet<&str> = judges.iter().map(|judge| judge.sha256.as_str()).collect();
        assert_eq!(digests.len(), judges.len());
        for judge in &judges {
            assert_eq!(judge.prompt.is_empty(), judge.kind == JudgeKind::Reference, "{}", judge.name);
        }
    }

    fn folder(settings: &str, prompt: Option<&str>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(SETTINGS), settings).unwrap();
        if let Some(prompt) = prompt {
            std::fs::write(folder.path().join(PROMPT), prompt).unwrap();
        }
        folder
    }

    #[test]
    fn a_copied_folder_is_a_judge_and_any_change_of_it_changes_the_digest() {
        let settings = "kind = \"single\"\nscale = [0, 5]\nsomething_later = 1\n";
        let first = Definition::open(folder(settings, Some("{{ question }}")).path()).unwrap();
        assert_eq!((first.scale, first.repeats), (Scale(0.0, 5.0), 1));
        let same = Definition::open(folder(settings, Some("{{ question }}")).path()).unwrap();
        assert_eq!(same.sha256, first.sha256);
        for (settings, prompt) in [(settings, "{{ question }} "), ("kind = \"single\"\n", "{{ question }}")] {
            assert_ne!(Definition::open(folder(settings, Some(prompt)).path()).unwrap().sha256, first.sha256);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_file_and_a_remedy() {
        for (settings, words) in [
            ("kind = \"oracle\"", "not the settings of a judge"),
            ("name = \"x\"", "missing field `kind`"),
            ("kind = \"single\"\nscale = [10, 1]", "no room for a score"),
            ("kind = \"single\"\nrepeats = 0", "at least 1"),
            ("kind = \"single\"\ncoverage = 2", "shares"),
            ("kind = \"single\"\n[price]\nprompt = -1\ncompletion = 0", "price"),
            ("kind = \"single\"\n[check]\nstatistic = \"kappa_linear\"\nat_least = 0.5\ncuts = [1, 2, 3]", "cuts"),
        ] {
            let error = Definition::open(folder(settings, Some("x")).path()).unwrap_err();
            assert!(error.to_string().contains(words) && error.to_string().contains(SETTINGS), "{error}");
            assert!(error.remedy_text().is_some());
            assert_eq!(error.exit_code(), 2);
        }
        let error = Definition::open(folder("kind = \"single\"", None).path()).unwrap_err();
        assert!(error.to_string().contains("no prompt"), "{error}");
        let error = Definition::open("no-such-judge").unwrap_err();
        assert!(error.remedy_text().unwrap().contains("grade, pair, reference, short, single"));
    }
}
