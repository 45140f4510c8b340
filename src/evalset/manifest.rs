//! `evalset.toml`: what an evalset says about itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::confined::{ReadFailure, is_confined_name};
use super::defect::{Defect, DefectKind};
use super::source::{MAX_TEXT_BYTES, Source};

pub(super) const FILE: &str = "evalset.toml";

/// OwlEval's six abilities (mPLUG-Owl, arXiv 2304.14178, section 4 and the repository's OwlEval page).
const ABILITIES: [(&str, &str); 6] = [
    ("a", "instruction understanding"),
    ("b", "visual understanding"),
    ("c", "optical character recognition"),
    ("d", "knowledge transfer"),
    ("e", "reasoning"),
    ("f", "multi-turn dialogue"),
];

/// `evalset.toml` with its defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manifest {
    pub name: String,
    pub version: Option<String>,
    pub description: Option<String>,
    pub source: Option<String>,
    pub licence: Option<String>,
    pub abilities: BTreeMap<String, String>,
    /// The folder of the pictures, relative to the evalset.
    pub images: String,
    /// File, relative to the evalset -> lower-case sha256.
    pub sha256: BTreeMap<String, String>,
}

/// As written. Unknown fields are no error.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Written {
    name: Option<String>,
    version: Option<toml::Value>,
    description: Option<String>,
    source: Option<String>,
    licence: Option<String>,
    abilities: Option<BTreeMap<String, String>>,
    images: Option<String>,
    sha256: BTreeMap<String, String>,
}

/// Reads `evalset.toml`; where there is none, or it is broken, the defaults of a plain OwlEval folder hold.
pub(super) fn read(source: &Source, defects: &mut Vec<Defect>) -> Manifest {
    let path = source.path(FILE);
    let written = match source.read(FILE, MAX_TEXT_BYTES) {
        Err(ReadFailure::Missing) => Written::default(),
        Err(failure) => {
            defects.push(Defect::error(DefectKind::File, path.clone(), failure.to_string()));
            Written::default()
        }
        Ok(bytes) => match parse(&bytes) {
            Ok(written) => written,
            Err((line, message)) => {
                let defect = Defect::error(DefectKind::Manifest, path.clone(), message);
                defects.push(defect.line(line));
                Written::default()
            }
        },
    };
    let default_abilities = || ABILITIES.map(|(letter, name)| (letter.to_owned(), name.to_owned())).into();
    let mut manifest = Manifest {
        name: written.name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| source.default_name()),
        version: written.version.map(|version| match version {
            toml::Value::String(text) => text,
            other => other.to_string(),
        }),
        description: written.description,
        source: written.source,
        licence: written.licence,
        abilities: written.abilities.unwrap_or_else(default_abilities),
        images: written.images.unwrap_or_else(|| "cases".to_owned()),
        sha256: written.sha256,
    };
    if manifest.images != "." && !is_confined_name(&manifest.images) {
        let message = format!("images = \"{}\" leads out of the evalset", manifest.images);
        let remedy = "name a folder inside the evalset";
        defects.push(Defect::error(DefectKind::LeavesFolder, path.clone(), message).remedy(remedy));
        manifest.images = "cases".to_owned();
    }
    manifest.sha256.retain(|file, digest| {
        let problem = if !is_confined_name(file) {
            Some((DefectKind::LeavesFolder, format!("[sha256] names \"{file}\", which leads out of the evalset")))
        } else if digest.len() != 64 || !digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Some((DefectKind::Manifest, format!("the digest of \"{file}\" is not 64 lower-case hexadecimal digits")))
        } else {
            None
        };
        let good = problem.is_none();
        defects.extend(problem.map(|(kind, message)| Defect::error(kind, path.clone(), message)));
        good
    });
    manifest
}

/// Line (1-based) and message of what is wrong.
fn parse(bytes: &[u8]) -> Result<Written, (usize, String)> {
    let line_of = |offset: usize| bytes[..offset.min(bytes.len())].iter().filter(|&&byte| byte == b'\n').count() + 1;
    let text = std::str::from_utf8(bytes).map_err(|error| (line_of(error.valid_up_to()), "is not UTF-8".to_owned()))?;
    toml::from_str(text.strip_prefix('\u{FEFF}').unwrap_or(text))
        .map_err(|error| (line_of(error.span().map_or(0, |span| span.start)), error.message().to_owned()))
}
