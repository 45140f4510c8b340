//! Tests of the scenes, the pictures and what is said of them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn dialogues(split: Split) -> impl Iterator<Item = Dialogue> {
    let mix = DialogueMix { two_pictures: 0.3, ..DialogueMix::everything() };
    (0..3_000).map(move |index| dialogue(split, 11, index, &mix))
}

#[test]
fn the_same_seed_gives_the_same_scene_picture_dialogue_and_exam() {
    let mix = DialogueMix::everything();
    for index in 0..50 {
        let scene = Scene::sample(Split::Train, 5, index, 0.5);
        assert_eq!(scene, Scene::sample(Split::Train, 5, index, 0.5));
        assert_eq!(draw(&scene, index), draw(&scene, index));
        assert_eq!(dialogue(Split::Fresh, 5, index, &mix), dialogue(Split::Fresh, 5, index, &mix));
    }
    assert_eq!(exam(Split::HeldOut, 5, 82), exam(Split::HeldOut, 5, 82));
}

#[test]
fn seeds_indexes_and_splits_give_different_scenes() {
    let mut seen = BTreeSet::new();
    for split in [Split::Train, Split::Fresh] {
        for seed in 0..10 {
            let scenes: Vec<String> =
                (0..10).map(|index| format!("{:?}", Scene::sample(split, seed, index, 0.5))).collect();
            assert!(seen.insert(scenes), "two seeds gave the same ten scenes");
        }
    }
}

#[test]
fn two_pictures_of_one_scene_differ_in_tint_and_jitter() {
    let scene = Scene::sample(Split::Fresh, 1, 1, 1.0);
    assert_ne!(draw(&scene, 1), draw(&scene, 2));
}

#[test]
fn the_values_of_the_first_scenes_never_change() {
    // Recipes name their data by a seed: another value here means that no model can be made again.
    let scene = Scene::sample(Split::Train, 1, 0, 0.5);
    let told: Vec<String> = told(&scene).iter().map(|slot| slot.join(" ")).collect();
    assert_eq!(
        told,
        [
            "top left sign",
            "top middle sign",
            "top right sign",
            "middle left empty",
            "middle small green triangle",
            "middle right empty",
            "bottom left large green square",
            "bottom middle large purple square",
            "bottom right large purple square",
            "sign top number first none",
            "sign top number second 4",
        ]
    );
}

#[test]
fn every_scene_has_one_to_four_objects_on_places_of_their_own_and_none_under_the_sign() {
    for split in [Split::Train, Split::Fresh, Split::HeldOut] {
        for index in 0..2_000 {
            let scene = Scene::sample(split, 3, index, 0.5);
            assert!((1..=MOST_OBJECTS).contains(&scene.objects.len()));
            assert!(scene.objects.windows(2).all(|pair| pair[0].place < pair[1].place), "reading order: {scene:?}");
            if let Some(sign) = scene.sign {
                assert!(scene.objects.iter().all(|object| object.place.row() != sign.row.index()));
            }
        }
    }
}

#[test]
fn no_training_scene_and_no_training_sentence_holds_a_held_out_pair() {
    let pairs: Vec<String> = HELD_OUT.iter().map(|(shape, colour)| format!("{colour} {shape}")).collect();
    for dialogue in dialogues(Split::Train) {
        assert!(dialogue.scenes.iter().all(|scene| !scene.has_held_out_pair()));
        for turn in &dialogue.turns {
            for text in std::iter::once(&turn.question).chain([&turn.answer]).chain(&turn.accepted) {
                assert!(!pairs.iter().any(|pair| text.contains(pair)), "{text}");
            }
        }
    }
    for text in corpus(300) {
        assert!(!pairs.iter().any(|pair| text.contains(pair)), "{text}");
    }
}

#[test]
fn told_scenes_hold_every_pair_and_are_others_than_those_of_the_pictures() {
    let scenes: Vec<Scene> = (0..3_000).map(|index| Scene::sample(Split::Told, 3, index, 0.5)).collect();
    let pairs: BTreeSet<_> =
        scenes.iter().flat_map(|scene| &scene.objects).map(|object| (object.shape, object.colour)).collect();
    assert_eq!(pairs.len(), Shape::ALL.len() * Colour::ALL.len());
    let with_held_out = scenes.iter().filter(|scene| scene.has_held_out_pair()).count();
    assert!((400..1_600).contains(&with_held_out), "{with_held_out} of 3000: told as often as other pairs");
    let shown = |index| Scene::sample(Split::Train, 3, index, 0.5);
    assert!((0..50).filter(|&index| shown(index) == scenes[index as usize]).count() < 5);
}

#[test]
fn every_held_out_scene_holds_a_held_out_pair_and_every_pair_comes() {
    let mut seen = BTreeSet::new();
    for index in 0..500 {
        let scene = Scene::sample(Split::HeldOut, 3, index, 0.5);
        assert!(scene.has_held_out_pair());
        let held_out = scene.objects.iter().filter(|object| is_held_out(object.shape, object.colour));
        seen.extend(held_out.map(|object| (object.shape, object.colour)));
    }
    assert_eq!(seen.len(), HELD_OUT.len());
    assert!(exam(Split::HeldOut, 4, 82).iter().flat_map(|question| &question.scenes).all(Scene::has_held_out_pair));
}

#[test]
fn yes_and_no_are_right_equally_often_in_every_kind() {
    let mut yes: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    for dialogue in (0..20_000).map(|index| dialogue(Split::Train, 2, index, &DialogueMix::everything())) {
        for turn in dialogue.turns {
            if turn.answer == "yes" || turn.answer == "no" {
                let counts = yes.entry(turn.kind).or_default();
                counts.0 += usize::from(turn.answer == "yes");
                counts.1 += 1;
            }
        }
    }
    yes.remove(&Kind::Opposite);
    assert!(yes.len() >= 8, "{yes:?}");
    for (kind, (yes, all)) in yes {
        let share = yes as f64 / all as f64;
        // Five standard errors of a fair coin.
        assert!((share - 0.5).abs() < 2.5 / (all as f64).sqrt(), "{kind:?}: {yes} of {all}");
    }
}

#[test]
fn an_exam_has_every_kind_equally_often_with_as_many_scenes_and_turns_before_as_it_takes() {
    let kinds = Kind::ALL.iter().filter(|kind| kind.pictures() > 0).count();
    let questions = exam(Split::Fresh, 1, kinds * 4);
    assert_eq!(questions.len(), kinds * 4);
    for &kind in Kind::ALL.iter().filter(|kind| kind.pictures() > 0) {
        assert_eq!(questions.iter().filter(|question| question.kind() == kind).count(), 4, "{kind:?}");
    }
    for question in &questions {
        assert_eq!(question.history.len(), usize::from(!question.kind().openers().is_empty()));
        assert_eq!(question.scenes.len(), question.kind().pictures());
    }
}

#[test]
fn an_answer_that_is_always_the_same_gets_far_less_than_the_asked_for_share() {
    for (group, share) in chance(&exam(Split::Fresh, 6, 2_050)) {
        assert!(share < 0.6, "{group:?}: {share}");
    }
}

#[test]
fn a_second_opinion_that_reads_the_words_finds_the_same_answer_to_every_question() {
    for (split, seed) in [(Split::Train, 21), (Split::Fresh, 22), (Split::HeldOut, 23)] {
        let questions = exam_of(Kind::ALL, split, seed, 200 * Kind::ALL.len());
        assert_eq!(questions.len(), 200 * Kind::ALL.len());
        for question in questions {
            let answer = oracle::answer(&question);
            assert_eq!(answer, question.turn.answer, "{question:#?}");
        }
    }
}

#[test]
fn what_is_said_in_a_dialogue_before_does_not_change_what_a_plain_question_means() {
    for dialogue in dialogues(Split::HeldOut) {
        for turn in dialogue.turns.into_iter().filter(|turn| turn.kind.openers().is_empty()) {
            let alone = ExamQuestion {
                scenes: dialogue.scenes.clone(),
                picture_seeds: dialogue.picture_seeds.clone(),
                history: Vec::new(),
                turn,
            };
            assert_eq!(oracle::answer(&alone), alone.turn.answer, "{alone:#?}");
        }
    }
}

#[test]
fn answers_are_short_and_lower_case_and_without_a_full_stop() {
    for dialogue in dialogues(Split::Fresh) {
        for turn in dialogue.turns {
            assert!(!turn.answer.is_empty() && !turn.answer.ends_with('.'), "{turn:?}");
            assert_eq!(turn.answer, turn.answer.to_lowercase());
            assert!(turn.accepts(&turn.answer) && turn.accepts(&format!(" {}.", turn.answer.to_uppercase())));
            assert!(turn.kind == Kind::Caption || turn.answer.split(' ').count() <= 12, "{turn:?}");
            assert!(!turn.accepts("no idea"));
        }
    }
}

#[test]
fn only_questions_that_refer_back_are_asked_twice_in_a_dialogue() {
    for dialogue in dialogues(Split::Train) {
        let mut seen = BTreeSet::new();
        for turn in dialogue.turns.iter().filter(|turn| turn.kind.openers().is_empty()) {
            assert!(seen.insert(&turn.question), "{turn:?}");
        }
    }
}

#[test]
fn a_mix_leaves_out_what_its_weights_leave_out() {
    let mix = DialogueMix::without_knowledge();
    for index in 0..1_000 {
        let dialogue = dialogue(Split::Train, 1, index, &mix);
        assert!(dialogue.turns.iter().all(|turn| turn.kind.group() != Group::Knowledge));
        assert!(!dialogue.scenes.is_empty());
    }
    let only = DialogueMix { two_pictures: 0.0, ..DialogueMix::default() };
    let groups = Kind::ALL.iter().map(|kind| (kind.group(), 0.0)).chain([(Group::Counting, 1.0)]).collect();
    let only = DialogueMix { groups, ..only };
    for index in 0..200 {
        assert!(dialogue(Split::Train, 1, index, &only).turns.iter().all(|turn| turn.kind.group() == Group::Counting));
    }
}

#[test]
fn a_mix_is_read_from_a_recipe_and_checked() {
    let mix: DialogueMix =
        toml::from_str("turns = [2, 3]\nkinds = { caption = 8.0 }\ngroups = { knowledge = 0.0 }").unwrap();
    assert_eq!((mix.weight(Kind::Caption), mix.weight(Kind::FruitOf)), (8.0, 0.0));
    assert_eq!(mix.signs, DialogueMix::default().signs);
    mix.check().unwrap();
    assert_eq!(toml::from_str::<DialogueMix>(&toml::to_string(&mix).unwrap()).unwrap(), mix);
    assert!(toml::from_str::<DialogueMix>("kinds = { poem = 1.0 }").is_err());
    assert!(DialogueMix { signs: 1.5, ..mix.clone() }.check().is_err());
    assert!(DialogueMix { turns: [0, 3], ..mix.clone() }.check().is_err());
    assert!(DialogueMix { groups: [(Group::Size, f64::NAN)].into(), ..mix }.check().is_err());
}

#[test]
fn labels_and_told_words_say_what_is_in_the_scene() {
    for index in 0..500 {
        let scene = Scene::sample(Split::HeldOut, 8, index, 0.5);
        let (labels, told) = (labels(&scene), told(&scene));
        assert_eq!(told.len(), TOLD_SLOTS);
        for place in Place::all() {
            let (slot, at) = (&told[place.index()], place.index());
            assert!(slot.starts_with(place.words()));
            let rest = &slot[place.words().len()..];
            match rest {
                [size, colour, shape] => {
                    assert_eq!(*size, Size::ALL[usize::from(labels.size[at])].word());
                    assert_eq!(*colour, Colour::ALL[usize::from(labels.colour[at])].word());
                    assert_eq!(*shape, Shape::ALL[usize::from(labels.shape[at])].word());
                    let object = scene.at(place).unwrap();
                    assert_eq!(format!("{size} {colour} {shape}"), object.name());
                }
                ["empty" | "sign"] => {
                    assert!(scene.at(place).is_none());
                    assert_eq!((labels.colour[at], labels.shape[at], labels.size[at]), (8, 6, 2));
                }
                _ => panic!("{slot:?}"),
            }
        }
        let text: String = labels
            .characters
            .iter()
            .map_while(|&label| match label {
                0..26 => Some(char::from(b'a' + label)),
                26..36 => Some(char::from(b'0' + label - 26)),
                _ => None,
            })
            .collect();
        match scene.sign {
            None => {
                assert_eq!((labels.sign_row, text.as_str()), (3, ""));
                assert_eq!(told[9], ["sign", "none"]);
            }
            Some(sign) => {
                assert_eq!(usize::from(labels.sign_row), sign.row.index());
                assert_eq!(text, sign.text.to_string());
                let read = match told[9][2] {
                    "word" => told[9][3].to_owned(),
                    _ => format!("{}{}", told[9][4], told[10][4]).replace("none", ""),
                };
                assert_eq!(read, text);
            }
        }
    }
}

#[test]
fn the_vocabulary_is_small_and_told_words_are_words_of_the_dialogues() {
    let words = |texts: &[String]| -> BTreeSet<String> {
        let split = |text: &String| -> Vec<String> {
            text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        texts.iter().flat_map(split).collect()
    };
    let all = words(&corpus(3_000));
    let names = all.iter().filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit())).count();
    assert!((150..=230).contains(&names), "{names} words");
    let said: Vec<String> = dialogues(Split::Train)
        .flat_map(|dialogue| dialogue.turns.into_iter().flat_map(|turn| [turn.question, turn.answer]))
        .collect();
    let said = words(&said);
    for index in 0..500 {
        for word in told(&Scene::sample(Split::Train, 0, index, 0.6)).concat() {
            assert!(said.contains(word) || ["empty", "none"].contains(&word), "{word}");
            assert!(all.contains(word), "{word}");
        }
    }
}

#[test]
fn every_object_is_drawn_in_its_place_in_its_colour() {
    let reference = |colour: Colour| -> [f32; 3] {
        match colour {
            Colour::Red => [214.0, 30.0, 30.0],
            Colour::Orange => [245.0, 125.0, 12.0],
            Colour::Yellow => [242.0, 220.0, 24.0],
            Colour::Green => [43.0, 153.0, 52.0],
            Colour::Blue => [43.0, 103.0, 214.0],
            Colour::Purple => [130.0, 54.0, 158.0],
            Colour::Black => [30.0, 30.0, 30.0],
            Colour::White => [251.0, 251.0, 251.0],
        }
    };
    for index in 0..300 {
        let scene = Scene::sample(Split::HeldOut, 9, index, 0.3);
        let picture = draw(&scene, index);
        assert_eq!(picture.dimensions(), (SIDE, SIDE));
        for object in &scene.objects {
            let (x, y) = (object.place.column() as f32 * 32.0 + 16.0, object.place.row() as f32 * 32.0 + 16.0);
            // A ring is empty in the middle: look at its rim.
            let off = match (object.shape, object.size) {
                (Shape::Ring, Size::Large) => 9.0,
                (Shape::Ring, Size::Small) => 5.5,
                _ => 0.0,
            };
            let near = |pixel: &image::Rgb<u8>, colour: [f32; 3]| -> f32 {
                pixel.0.iter().zip(colour).map(|(&a, b)| (f32::from(a) - b).powi(2)).sum()
            };
            // The pixel at the middle (or on the rim, to all sides) is nearest to the reference of its own colour.
            let sides = [(off, 0.0), (-off, 0.0), (0.0, off), (0.0, -off)];
            let right = sides.iter().any(|(dx, dy)| {
                let pixel = picture.get_pixel((x + dx) as u32, (y + dy) as u32);
                let nearest = Colour::ALL
                    .into_iter()
                    .min_by(|&a, &b| near(pixel, reference(a)).total_cmp(&near(pixel, reference(b))));
                nearest == Some(object.colour)
            });
            assert!(right, "scene {index}: {object:?}");
        }
        for place in Place::all().filter(|place| scene.at(*place).is_none()) {
            if scene.sign.is_some_and(|sign| sign.row.index() == place.row()) {
                continue;
            }
            // An empty place is of one tint, but for what stands over from its neighbours at the very edge.
            let (x, y) = (place.column() as u32 * 32, place.row() as u32 * 32);
            let ground = picture.get_pixel(x + 16, y + 16);
            let stray = (4..28).flat_map(|dy| (4..28).map(move |dx| (dx, dy)));
            assert!(stray.into_iter().all(|(dx, dy)| picture.get_pixel(x + dx, y + dy) == ground), "scene {index}");
        }
    }
}

#[test]
fn a_large_picture_made_small_looks_like_the_small_one() {
    for index in 0..20 {
        let scene = Scene::sample(Split::Fresh, 10, index, 0.6);
        let small = draw(&scene, index);
        let large = draw_with_side(&scene, index, SIDE * 4);
        let made_small = image::imageops::resize(&large, SIDE, SIDE, image::imageops::FilterType::CatmullRom);
        let difference: f64 =
            small.as_raw().iter().zip(made_small.as_raw()).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
        let mean = difference / small.as_raw().len() as f64;
        // What remains are the edges, which bicubic filtering sharpens.
        assert!(mean < 3.0, "scene {index}: {mean} of 255 a channel");
    }
}
