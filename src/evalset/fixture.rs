//! Made-up evalsets for tests.

use std::io::Cursor;
use std::path::Path;

use ::image::{ImageFormat, Rgb, RgbImage};

/// A small picture of one colour.
pub(crate) fn picture(format: ImageFormat, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(12, 8, Rgb(colour)).write_to(&mut bytes, format).expect("a picture is written to memory");
    bytes.into_inner()
}

/// A PNG whose header names a size that its data does not have.
pub(crate) fn gigantic_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = picture(ImageFormat::Png, [0, 0, 0]);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// The checksum of a PNG chunk (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            register = if register & 1 == 1 { (register >> 1) ^ 0xEDB8_8320 } else { register >> 1 };
        }
    }
    !register
}

pub(crate) fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is created");
    std::fs::write(path, content).expect("the file is written");
}

/// An evalset of seven questions: a dialogue by its picture, a group over two pictures, single questions, text only.
pub(crate) fn made_up() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = [
        r#"{"image": "cup.png", "question_id": 1, "question": "What is this?", "ability": "a,b", "category": ["single_turn", "multi_turn"], "reference": "a cup"}"#,
        r#"{"image": "cup.png", "question_id": 2, "question": "And its colour?", "ability": "b,f", "category": ["multi_turn"], "reference": ["red", "dark red"]}"#,
        r#"{"image": ["cup.png", "jug.jpg"], "question_id": 3, "question": "Which is larger?", "ability": ["b", "e"], "category": ["single_turn", "multi_turn"], "group": "pair"}"#,
        r#"{"image": "jug.jpg", "question_id": 4, "question": "What does it hold?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"question_id": 5, "question": "And which is older?", "ability": "e,f", "category": ["multi_turn"], "group": "pair"}"#,
        r#"{"image": null, "question_id": 6, "question": "What is two and two?", "ability": "e", "category": ["single_turn"], "reference": 4}"#,
        r#"{"image": "cup.png", "question_id": 7, "question": "Is it broken?", "ability": "b", "category": ["multi_turn"]}"#,
    ];
    write(folder.path(), "questions.jsonl", rows.join("\n") + "\n");
    write(folder.path(), "cases/cup.png", picture(ImageFormat::Png, [200, 0, 0]));
    write(folder.path(), "cases/jug.jpg", picture(ImageFormat::Jpeg, [0, 0, 200]));
    let settings = "name = \"made-up\"\nversion = \"1.0\"\ndescription = \"Cups and jugs.\"\nsource = \"made for tests\"\nlicence = \"CC0-1.0\"\n";
    write(folder.path(), "evalset.toml", settings);
    folder
}

/// An evalset with every kind of defect.
pub(crate) fn broken() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = [
        r#"{"image": "good.png", "question_id": 1, "question": "What is this? ", "ability": "a", "category": ["single_turn", "multi_turn"]}"#,
        r#"{"image": "good.png", "question_id": 2, "question": "Why？", "ability": "a", "category": ["single_turn", "multi_turn"]}"#,
        r#"{"image": "good.png", "question_id": 3"#,
        r#"["no", "object"]"#,
        r#"{"image": "good.png", "question": "Who?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "good.png", "question_id": 2, "question": "Again?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "good.png", "question_id": 7, "question": " \t", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "good.png", "question_id": 8, "question": "When?", "ability": "a,z", "category": ["single_turn"]}"#,
        r#"{"image": "good.png", "question_id": 9, "question": "Where?", "ability": "a", "category": ["no_turn"]}"#,
        r#"{"image": "../secret.png", "question_id": 10, "question": "How?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "missing.png", "question_id": 11, "question": "How?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "corrupt.png", "question_id": 12, "question": "How?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "half.png", "question_id": 13, "question": "How?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "gigantic.png", "question_id": 14, "question": "How?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "truly.jpg", "question_id": 15, "question": "How?", "ability": "a", "category": ["single_turn"]}"#,
        r#"{"image": "changed.png", "question_id": 16, "question": "How?", "ability": "a", "category": ["multi_turn"]}"#,
        r#"{"image": "good.png", "question_id": 17, "question": "A?", "ability": "a", "category": ["multi_turn"], "group": "g"}"#,
        r#"{"image": "half.png", "question_id": 18, "question": "B\u001b[2J?", "ability": "a", "category": ["multi_turn"], "group": "g"}"#,
        r#"{"image": 5, "question_id": 19, "question": "How?", "ability": 7, "category": ["single_turn"], "reference": [true]}"#,
        r#"{"image": "good.png", "question_id": -1, "question": "How?", "ability": "", "category": []}"#,
    ];
    write(folder.path(), "questions.jsonl", rows.join("\n") + "\n");
    write(folder.path(), "secret.png", picture(ImageFormat::Png, [1, 1, 1]));
    let good = picture(ImageFormat::Png, [200, 0, 0]);
    write(folder.path(), "cases/good.png", &good);
    write(folder.path(), "cases/corrupt.png", "this is no picture");
    write(folder.path(), "cases/half.png", &good[..good.len() / 2 + 4]);
    write(folder.path(), "cases/gigantic.png", gigantic_png(60_000, 60_000));
    write(folder.path(), "cases/truly.jpg", &good);
    write(folder.path(), "cases/changed.png", picture(ImageFormat::Png, [9, 9, 9]));
    let settings = format!(
        "name = \"broken\"\n[sha256]\n\"cases/changed.png\" = \"{}\"\n\"answer/lost.jsonl\" = \"{}\"\n\"../x\" = \"{}\"\n\"short\" = \"abc\"\n",
        "0".repeat(64),
        "1".repeat(64),
        "2".repeat(64)
    );
    write(folder.path(), "evalset.toml", settings);
    folder
}
