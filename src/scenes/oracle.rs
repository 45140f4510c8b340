//! A second opinion, for tests: it reads the words of a question, looks at the scene, and says the answer. It shares
//! nothing with the generator but the words' spelling, and it fails where a question has no single answer.

use super::*;

/// What a noun phrase in a question may mean, and where in the words it ends.
struct Phrase {
    size: Option<Size>,
    colour: Option<Colour>,
    shape: Option<Shape>,
    place: Option<Place>,
    end: usize,
}

fn words_of(text: &str) -> Vec<&str> {
    text.split([' ', '?', ',', ':']).filter(|word| !word.is_empty()).collect()
}

/// "top left", "middle" …: the longest place that starts the words.
fn place_at(words: &[&str]) -> Option<(Place, usize)> {
    let mut places: Vec<Place> = Place::all().filter(|place| words.starts_with(place.words())).collect();
    places.sort_by_key(|place| place.words().len());
    places.last().map(|&place| (place, place.words().len()))
}

/// Every "[size] [colour] shape" or "[size] [colour] object" with the place that may follow.
fn phrases(words: &[&str]) -> Vec<Phrase> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let mut next = at;
        let size = words.get(next).and_then(|word| Size::ALL.into_iter().find(|size| size.word() == *word));
        next += usize::from(size.is_some());
        let colour = words.get(next).and_then(|word| Colour::ALL.into_iter().find(|colour| colour.word() == *word));
        next += usize::from(colour.is_some());
        let noun = words.get(next).map(|word| word.trim_end_matches('s').replace("crosse", "cro"));
        let shape = Shape::ALL.into_iter().find(|shape| noun.as_deref() == Some(shape.word().trim_end_matches('s')));
        if shape.is_none() && noun.as_deref() != Some("object") {
            at += 1;
            continue;
        }
        next += 1;
        let mut place = None;
        if words.get(next..next + 2) == Some(&["in", "the"])
            && let Some((found, length)) = place_at(&words[next + 2..])
        {
            place = Some(found);
            next += 2 + length;
        }
        all.push(Phrase { size, colour, shape, place, end: next });
        at = next;
    }
    all
}

impl Phrase {
    fn in_scene<'a>(&self, scene: &'a Scene) -> Vec<&'a Object> {
        let fits = |object: &&Object| {
            (self.size.is_none() || self.size == Some(object.size))
                && (self.colour.is_none() || self.colour == Some(object.colour))
                && (self.shape.is_none() || self.shape == Some(object.shape))
                && (self.place.is_none() || self.place == Some(object.place))
        };
        scene.objects.iter().filter(fits).collect()
    }

    /// The one object that is meant.
    fn one<'a>(&self, scene: &'a Scene) -> &'a Object {
        let all = self.in_scene(scene);
        assert_eq!(all.len(), 1, "not one object is meant");
        all[0]
    }
}

/// The attribute that is asked for, and its value.
fn attribute(words: &[&str], object: &Object) -> String {
    let has = |word: &str| words.contains(&word);
    if has("where") || (has("place") && !has("colour") && !has("shape")) {
        object.place.to_string()
    } else if has("size") || words.windows(3).any(|three| three == ["small", "or", "large"]) {
        object.size.to_string()
    } else if has("colour") {
        object.colour.to_string()
    } else {
        assert!(has("shape"), "no attribute is asked for");
        object.shape.to_string()
    }
}

fn article(noun: &str) -> String {
    format!("{} {noun}", if "aeiou".contains(&noun[..1]) { "an" } else { "a" })
}

fn name(object: &Object) -> String {
    article(&format!("{} {}", object.colour, object.shape))
}

const COUNTS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

fn count_word(count: usize) -> String {
    COUNTS[count].to_owned()
}

/// A number in digits or as a word.
fn number(word: &str) -> Option<i64> {
    word.parse().ok().or_else(|| COUNTS.iter().position(|count| *count == word).map(|count| count as i64))
}

fn numbers(words: &[&str]) -> Vec<i64> {
    words.iter().filter_map(|word| number(word)).collect()
}

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

const FRUITS: [(&str, &str); 8] = [
    ("strawberry", "red"),
    ("apricot", "orange"),
    ("banana", "yellow"),
    ("lime", "green"),
    ("blueberry", "blue"),
    ("plum", "purple"),
    ("blackberry", "black"),
    ("coconut", "white"),
];

const THINGS: [(&str, &str); 6] = [
    ("coin", "circle"),
    ("tile", "square"),
    ("pyramid", "triangle"),
    ("starfish", "star"),
    ("windmill", "cross"),
    ("doughnut", "ring"),
];

/// The other half of a fact, whichever half the words hold.
fn fact(table: &[(&str, &str)], words: &[&str]) -> String {
    for &(thing, of) in table {
        if words.contains(&thing) {
            return of.to_owned();
        }
        if words.contains(&of) {
            return article(thing);
        }
    }
    panic!("no fact in {words:?}")
}

fn corners(shape: &str) -> &'static str {
    match shape {
        "circle" => "zero",
        "triangle" => "three",
        "square" => "four",
        _ => panic!("nobody agrees on the corners of a {shape}"),
    }
}

fn kind_of(word: &str) -> &'static str {
    match LEXICON.iter().position(|(known, _)| *known == word).map(|index| index / 8) {
        Some(0) => "an animal",
        Some(1) => "a food",
        Some(2) => "a vehicle",
        Some(3) => "a garment",
        _ => panic!("{word} is not of the lexicon"),
    }
}

/// The number after the change that the words tell of.
fn changed(words: &[&str], before: usize) -> String {
    let by = numbers(words)[0] as usize;
    count_word(if words.contains(&"away") { before - by } else { before + by })
}

fn reckoned(words: &[&str], number: i64) -> String {
    let last = numbers(words).pop().expect("a number to reckon with");
    let sum = if words.contains(&"plus") { number + last } else { number - last };
    assert!((0..=99).contains(&sum));
    sum.to_string()
}

/// The only object, anywhere, that lies in the direction that the words name.
fn neighbour(words: &[&str], from: &Object, scene: &Scene) -> String {
    let (row, column) = (from.place.row(), from.place.column());
    let lies = |object: &&Object| {
        let (other_row, other_column) = (object.place.row(), object.place.column());
        if words.windows(2).any(|two| two == ["left", "of"]) {
            other_column < column
        } else if words.windows(2).any(|two| two == ["right", "of"]) {
            other_column > column
        } else if words.contains(&"above") {
            other_row < row
        } else {
            assert!(words.contains(&"below"));
            other_row > row
        }
    };
    let all: Vec<&Object> = scene.objects.iter().filter(lies).collect();
    assert_eq!(all.len(), 1, "not one neighbour");
    name(all[0])
}

/// "first" or "second", as an index, and the words without "in the first picture".
fn picture_named<'a>(words: &[&'a str]) -> (usize, Vec<&'a str>) {
    let at = words.iter().position(|word| *word == "picture").expect("a picture is named");
    let picture = if words[at - 1] == "first" { 0 } else { 1 };
    (picture, [&words[..at - 3], &words[at + 1..]].concat())
}

/// The answer to the question.
pub(super) fn answer(question: &ExamQuestion) -> String {
    let words = words_of(&question.turn.question);
    let has = |word: &str| words.contains(&word);
    let scene = question.scenes.first();
    let scene = || scene.expect("a scene");
    let phrases = phrases(&words);
    let sign = || scene().sign.expect("a sign");
    let sign_number = || i64::from(scene().number().expect("a number on the sign"));
    // What "it" is: the one object of the turn before.
    let before: Vec<&str> = question.history.first().map(|turn| words_of(&turn.question)).unwrap_or_default();
    let it = || -> &Object {
        if let Some(phrase) = super::oracle::phrases(&before).first()
            && phrase.in_scene(scene()).len() == 1
        {
            return phrase.one(scene());
        }
        let at = before.iter().rposition(|word| *word == "the").expect("a place") + 1;
        scene().at(place_at(&before[at..]).expect("a place").0).expect("an object")
    };
    match question.kind() {
        Kind::ColourOf | Kind::ShapeOf | Kind::SizeOf | Kind::PlaceOf => attribute(&words, phrases[0].one(scene())),
        Kind::WhatAt => {
            let at = words.iter().rposition(|word| *word == "the").expect("a place") + 1;
            let (place, length) = place_at(&words[at..]).expect("a place");
            assert_eq!(at + length, words.len());
            scene().at(place).map_or("nothing".to_owned(), name)
        }
        Kind::Exists => yes(!phrases[0].in_scene(scene()).is_empty()),
        Kind::Confirm => {
            let object = phrases[0].one(scene());
            let said = words[phrases[0].end..].last().expect("something is said of it");
            yes([object.size.word(), object.colour.word(), object.shape.word()].contains(said))
        }
        Kind::CountAll | Kind::CountColour | Kind::CountShape => count_word(phrases[0].in_scene(scene()).len()),
        Kind::Caption => {
            let mut parts: Vec<String> = Vec::new();
            for place in Place::all() {
                let told = scene().at(place);
                parts.extend(told.map(|o| {
                    format!("{place} {}", article(&[o.size.word(), o.colour.word(), o.shape.word()].join(" ")))
                }));
            }
            parts.extend(scene().sign.map(|sign| format!("sign {} {}", sign.row.word(), sign.text)));
            parts.join(", ")
        }
        Kind::ListColours | Kind::ListShapes => {
            let across = has("right");
            let mut named = Vec::new();
            for line in 0..3 {
                let mut there = scene()
                    .objects
                    .iter()
                    .filter(|object| line == if across { object.place.column() } else { object.place.row() });
                named.extend(
                    there.next().map(|object| if has("colours") { object.colour.word() } else { object.shape.word() }),
                );
                assert!(there.next().is_none(), "two in one line have no order");
            }
            named.join(", ")
        }
        Kind::Sentence if has("many") => match scene().objects.len() {
            1 => "there is one object".to_owned(),
            count => format!("there are {} objects", count_word(count)),
        },
        Kind::Sentence => {
            let object = phrases[0].one(scene());
            let value = attribute(&words, object);
            let value = match () {
                () if has("where") => format!("in the {value}"),
                () if has("shape") => article(&value),
                () => value,
            };
            let the = words.iter().position(|word| *word == "the").expect("a subject");
            format!("{} is {value}", words[the..phrases[0].end].join(" "))
        }
        Kind::Twice => {
            let value = attribute(&words, phrases[0].one(scene()));
            format!("{value} {value}")
        }
        Kind::ReadSign => sign().text.to_string(),
        Kind::ReadNumber => sign_number().to_string(),
        Kind::SignPlace => sign().row.word().to_owned(),
        Kind::SignExists => yes(scene().sign.is_some()),
        Kind::FruitOf => fact(&FRUITS, &[phrases[0].one(scene()).colour.word()]),
        Kind::ThingOf => fact(&THINGS, &[phrases[0].one(scene()).shape.word()]),
        Kind::Corners => corners(phrases[0].one(scene()).shape.word()).to_owned(),
        Kind::PlaceByFruit => {
            let colour = fact(&FRUITS, &words);
            let of_it: Vec<&Object> = scene().objects.iter().filter(|object| object.colour.word() == colour).collect();
            assert_eq!(of_it.len(), 1);
            of_it[0].place.to_string()
        }
        Kind::SignKind => kind_of(scene().word().expect("a word on the sign")).to_owned(),
        Kind::MoreOf => {
            let or = words.iter().position(|word| *word == "or").expect("or");
            let count = |word: &str| {
                let singular =
                    word.strip_suffix("es").filter(|_| word == "crosses").unwrap_or(word.trim_end_matches('s'));
                let is = |object: &&Object| {
                    [object.colour.word(), object.size.word(), object.shape.word()].contains(&singular)
                };
                scene().objects.iter().filter(is).count()
            };
            let (first, second) = (words[or - 1], words[or + 1]);
            match count(first).cmp(&count(second)) {
                std::cmp::Ordering::Equal => "the same".to_owned(),
                std::cmp::Ordering::Greater => first.to_owned(),
                std::cmp::Ordering::Less => second.to_owned(),
            }
        }
        Kind::AddOrTakeAway => changed(&words, scene().objects.len()),
        Kind::NumberLarger => yes(sign_number() > numbers(&words)[0]),
        Kind::NumberPlus => reckoned(&words, sign_number()),
        Kind::SameColour => yes(phrases[0].one(scene()).colour == phrases[1].one(scene()).colour),
        Kind::SameShape => yes(phrases[0].one(scene()).shape == phrases[1].one(scene()).shape),
        Kind::Neighbour => {
            let subject = phrases.last().expect("a subject");
            neighbour(&words, subject.one(scene()), scene())
        }
        Kind::ReferIt => attribute(&words, it()),
        Kind::Elliptic => attribute(&before, phrases[0].one(scene())),
        Kind::ReferCount if has("if") => changed(&words, scene().objects.len()),
        Kind::ReferCount => {
            let colour = words.last().expect("a colour");
            count_word(scene().objects.iter().filter(|object| object.colour.word() == *colour).count())
        }
        Kind::ReferNeighbour => neighbour(&words, it(), scene()),
        Kind::ReferNumber if has("larger") => yes(sign_number() > numbers(&words)[0]),
        Kind::ReferNumber => reckoned(&words, sign_number()),
        Kind::WhichPicture => {
            let phrase = phrases.last().expect("an object");
            let shown = question.scenes.iter().map(|scene| phrase.in_scene(scene).len()).collect::<Vec<_>>();
            match shown[..] {
                [1, 0] => "first".to_owned(),
                [0, 1] => "second".to_owned(),
                _ => panic!("in which picture? {shown:?}"),
            }
        }
        Kind::CountTogether => count_word(question.scenes.iter().map(|scene| scene.objects.len()).sum()),
        Kind::InPicture => {
            let (picture, words) = picture_named(&words);
            let scene = &question.scenes[picture];
            let phrases = super::oracle::phrases(&words);
            if words.contains(&"sign") {
                scene.sign.expect("a sign").text.to_string()
            } else if words.contains(&"many") {
                count_word(scene.objects.len())
            } else if let Some(phrase) = phrases.first() {
                attribute(&words, phrase.one(scene))
            } else {
                let (place, _) = place_at(&words[words.len() - 2..])
                    .filter(|(_, length)| *length == 2)
                    .or_else(|| place_at(&words[words.len() - 1..]))
                    .expect("a place");
                name(scene.at(place).expect("an object"))
            }
        }
        Kind::BothShow => yes(question.scenes.iter().all(|scene| !phrases[0].in_scene(scene).is_empty())),
        Kind::MoreInWhich => match question.scenes[0].objects.len().cmp(&question.scenes[1].objects.len()) {
            std::cmp::Ordering::Greater => "first".to_owned(),
            std::cmp::Ordering::Less => "second".to_owned(),
            std::cmp::Ordering::Equal => panic!("neither has more"),
        },
        Kind::FactFruit => fact(&FRUITS, &words),
        Kind::FactThing => fact(&THINGS, &words),
        Kind::FactCorners => corners(phrases[0].shape.expect("a shape").word()).to_owned(),
        Kind::FactKind => {
            let named: Vec<&str> =
                words.iter().copied().filter(|word| LEXICON.iter().any(|(known, _)| known == word)).collect();
            assert_eq!(named.len(), 1);
            let kind = kind_of(named[0]);
            if words[0] == "is" { yes(question.turn.question.ends_with(&format!("{kind}?"))) } else { kind.to_owned() }
        }
        Kind::Arithmetic => {
            let all = numbers(&words);
            let sum = if has("plus") { all[0] + all[1] } else { all[0] - all[1] };
            let in_words = words.iter().all(|word| word.parse::<i64>().is_err());
            if in_words { count_word(sum as usize) } else { sum.to_string() }
        }
        Kind::CompareNumbers => {
            let (first, second) = (numbers(&words)[0], numbers(&words)[1]);
            if has("than") { yes(first > second) } else { first.max(second).to_string() }
        }
        Kind::NumberWord => {
            let all: Vec<&&str> = words.iter().filter(|word| number(word).is_some()).collect();
            assert_eq!(all.len(), 1);
            match all[0].parse::<usize>() {
                Ok(digit) => count_word(digit),
                Err(_) => number(all[0]).expect("a number").to_string(),
            }
        }
        // These say what to answer, or have no answer but the agreed one.
        Kind::Greeting | Kind::Repeat | Kind::Opposite => question.turn.answer.clone(),
    }
}
