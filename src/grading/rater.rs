//! Raters by name: a name is the name of a file.

use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext as _, Result};

/// Who gave the verdicts of an adjudication; a journal of the sheet, but no rater's.
pub const ADJUDICATED: &str = "adjudicated";
const RESERVED: [&str; 3] = ["cards", "unblinded", ADJUDICATED];

/// Longer names are refused; a file name may have 255 bytes.
const LONGEST: usize = 60;

/// The journal of a rater, the name checked.
///
/// # Errors
/// Where the name cannot be the name of a file on every system, is that of another file of the sheet, or differs only
/// in its capitals from a rater who is there: on some systems the two would share a file.
pub(super) fn journal_of(sheet: &Path, rater: &str) -> Result<PathBuf> {
    check(rater)?;
    let lower = rater.to_lowercase();
    if let Some(other) = raters(sheet)?.into_iter().find(|other| *other != rater && other.to_lowercase() == lower) {
        return Err(Error::input(format!("there is a rater {other} already, and {rater} differs in capitals only"))
            .remedy(format!("use --rater {other}, or another name")));
    }
    Ok(sheet.join(format!("{rater}.jsonl")))
}

/// Whether a name can be a rater's.
pub(super) fn check(rater: &str) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::input(format!("{rater:?} cannot be a rater's name: {why}"))
            .remedy("use letters, digits, `-`, `_` and `.` (it becomes the name of a file)"))
    };
    let lower = rater.to_lowercase();
    let stem = lower.split('.').next().unwrap_or_default();
    let is_device = ["con", "prn", "aux", "nul"].contains(&stem)
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && stem.ends_with(char::is_numeric));
    if rater.is_empty() {
        refuse("it is empty")
    } else if rater.len() > LONGEST {
        refuse("it is too long")
    } else if !rater.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        refuse("it holds other characters than letters, digits, `-`, `_` and `.`")
    } else if rater.starts_with(['.', '-']) || rater.ends_with('.') {
        refuse("it begins with a dot or a dash, or ends with a dot")
    } else if is_device {
        refuse("Windows keeps it for a device")
    } else if RESERVED.contains(&lower.as_str()) {
        refuse("another file of the sheet has it")
    } else {
        Ok(())
    }
}

/// The raters who have a journal on a sheet, sorted.
///
/// # Errors
/// Where the folder cannot be read.
pub fn raters(sheet: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(sheet).or_at("cannot read the folder", sheet)? {
        let entry = entry.or_at("cannot read the folder", sheet)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(rater) = name.strip_suffix(".jsonl")
            && check(rater).is_ok()
        {
            names.push(rater.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_file_names_everywhere_are_refused_with_the_reason() {
        for good in ["anna", "Anna-2", "张三", "müller_k", "a.b", "comma"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", "empty"),
            ("../anna", "other characters"),
            ("a/b", "other characters"),
            ("an na", "other characters"),
            (".anna", "begins with a dot"),
            ("-rf", "begins with a dot"),
            ("anna.", "ends with a dot"),
            ("NUL", "Windows"),
            ("com1.txt", "Windows"),
            ("Cards", "another file"),
            ("adjudicated", "another file"),
            ("a\u{1b}[2J", "other characters"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.message().contains(why), "{bad}: {error}");
        }
        assert!(check(&"é".repeat(31)).is_err());
    }

    #[test]
    fn a_name_that_differs_in_capitals_only_is_another_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Anna.jsonl"), "").unwrap();
        std::fs::write(folder.path().join("cards.jsonl"), "").unwrap();
        assert_eq!(raters(folder.path()).unwrap(), ["Anna"]);
        assert!(journal_of(folder.path(), "Anna").is_ok());
        let error = journal_of(folder.path(), "anna").unwrap_err();
        assert!(error.message().contains("a rater Anna already"), "{error}");
    }
}
