//! A reader of Python's pickle format that knows the fixed set of instructions `torch.save` writes and calls nothing.
//!
//! Objects live in one list and refer to each other by number, so that no nesting in a hostile file can exhaust the
//! stack or multiply memory: there are never more objects than instructions. Instructions as documented in Python's
//! `pickletools`; anything else is refused.

use std::collections::HashMap;

use super::byte_reader::{ByteReader, Reading};

/// The number of an object.
pub(super) type Id = usize;

/// An unpickled object. Classes are names, and calls are recorded, never made.
#[derive(Debug, Clone)]
pub(super) enum Object {
    None,
    Bool,
    Integer(i64),
    Float,
    Bytes,
    Text(String),
    Class {
        module: String,
        name: String,
    },
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Call {
        callable: Id,
        arguments: Id,
    },
    /// A reference to a storage outside the pickle.
    Persistent(Id),
}

/// All objects of a pickle.
pub(super) struct Objects {
    objects: Vec<Object>,
    root: Id,
}

impl Objects {
    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn get(&self, id: Id) -> &Object {
        &self.objects[id]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Object::Integer(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.tuple(id)?.iter().map(|item| self.size(*item)).collect()
    }

    /// Module and name of a class.
    pub(super) fn class(&self, id: Id) -> Option<(&str, &str)> {
        match self.get(id) {
            Object::Class { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// The class that is called, and the tuple of arguments.
    pub(super) fn call(&self, id: Id) -> Option<((&str, &str), &[Id])> {
        match self.get(id) {
            Object::Call { callable, arguments } => Some((self.class(*callable)?, self.tuple(*arguments)?)),
            _ => None,
        }
    }
}

enum Slot {
    Object(Id),
    Mark,
}

#[derive(Default)]
struct Machine {
    objects: Vec<Object>,
    stack: Vec<Slot>,
    memo: HashMap<u64, Id>,
}

/// Runs a pickle to its end.
pub(super) fn read(bytes: &[u8]) -> Reading<Objects> {
    let mut reader = ByteReader::new(bytes);
    let mut machine = Machine::default();
    loop {
        let at = reader.position();
        let instruction = reader.u8()?;
        if instruction == b'.' {
            let root = machine.pop()?;
            return Ok(Objects { objects: machine.objects, root });
        }
        machine.step(instruction, &mut reader).map_err(|problem| format!("pickle, byte {at}: {problem}"))?;
    }
}

impl Machine {
    fn step(&mut self, instruction: u8, reader: &mut ByteReader<'_>) -> Reading<()> {
        match instruction {
            // Protocol and frames.
            0x80 => drop(reader.u8()?),
            0x95 => drop(reader.u64()?),
            b'(' => self.stack.push(Slot::Mark),
            b'0' => drop(self.pop()?),
            // Plain values.
            b'N' => self.push(Object::None),
            0x88 | 0x89 => self.push(Object::Bool),
            b'K' => self.push_integer(reader.u8()?.into()),
            b'M' => self.push_integer(reader.u16()?.into()),
            b'J' => self.push_integer(reader.i32()?.into()),
            0x8a => self.long(reader)?,
            b'G' => {
                reader.u64()?;
                self.push(Object::Float);
            }
            b'X' => self.text(reader.u32()? as usize, reader)?,
            0x8c => self.text(reader.u8()?.into(), reader)?,
            0x8d => self.text(reader.size()?, reader)?,
            b'C' => self.bytes(reader.u8()?.into(), reader)?,
            b'B' => self.bytes(reader.u32()? as usize, reader)?,
            // Classes and calls.
            b'c' => {
                let (module, name) = (reader.line()?.to_owned(), reader.line()?.to_owned());
                self.push(Object::Class { module, name });
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push(Object::Class { module, name });
            }
            b'R' | 0x81 => self.call()?,
            // The state of a called object (such as a state dict's version table) is not needed.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let id = self.pop()?;
                self.push(Object::Persistent(id));
            }
            // Containers.
            b')' => self.push(Object::Tuple(Vec::new())),
            b']' => self.push(Object::List(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            0x85..=0x87 => {
                let mut items = (0x84..instruction).map(|_| self.pop()).collect::<Reading<Vec<_>>>()?;
                items.reverse();
                self.push(Object::Tuple(items));
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items));
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Object::List(items));
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Dict(pairs(&items)?));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend_dict(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(pairs(&items)?)?;
            }
            // The memo.
            b'q' => self.remember(reader.u8()?.into())?,
            b'r' => self.remember(reader.u32()?.into())?,
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => self.recall(reader.u8()?.into())?,
            b'j' => self.recall(reader.u32()?.into())?,
            other => return Err(format!("the instruction {other:#04x} is not one that torch.save writes")),
        }
        Ok(())
    }

    fn push(&mut self, object: Object) {
        self.stack.push(Slot::Object(self.objects.len()));
        self.objects.push(object);
    }

    fn push_integer(&mut self, value: i64) {
        self.push(Object::Integer(value));
    }

    fn pop(&mut self) -> Reading<Id> {
        match self.stack.pop() {
            Some(Slot::Object(id)) => Ok(id),
            Some(Slot::Mark) => Err("a value was expected, not a mark".into()),
            None => Err("the stack is empty".into()),
        }
    }

    fn pop_text(&mut self) -> Reading<String> {
        let id = self.pop()?;
        match &self.objects[id] {
            Object::Text(text) => Ok(text.clone()),
            _ => Err("a text was expected".into()),
        }
    }

    fn pop_to_mark(&mut self) -> Reading<Vec<Id>> {
        let mark = self.stack.iter().rposition(|slot| matches!(slot, Slot::Mark)).ok_or("there is no mark")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items
            .into_iter()
            .filter_map(|slot| match slot {
                Slot::Object(id) => Some(id),
                Slot::Mark => None,
            })
            .collect())
    }

    /// The container that instructions add to.
    fn last(&mut self) -> Reading<&mut Object> {
        match self.stack.last() {
            Some(Slot::Object(id)) => Ok(&mut self.objects[*id]),
            _ => Err("there is no container to add to".into()),
        }
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Reading<()> {
        match self.last()? {
            Object::List(list) => list.extend(items),
            _ => return Err("a list was expected".into()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: Vec<(Id, Id)>) -> Reading<()> {
        match self.last()? {
            Object::Dict(dict) => dict.extend(items),
            _ => return Err("a dict was expected".into()),
        }
        Ok(())
    }

    fn call(&mut self) -> Reading<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let ordered_dict = matches!(&self.objects[callable],
            Object::Class { module, name } if module == "collections" && name == "OrderedDict");
        self.push(if ordered_dict { Object::Dict(Vec::new()) } else { Object::Call { callable, arguments } });
        Ok(())
    }

    fn long(&mut self, reader: &mut ByteReader<'_>) -> Reading<()> {
        let length = usize::from(reader.u8()?);
        let bytes = reader.take(length)?;
        if length > 8 {
            return Err(format!("an integer of {length} bytes is too large"));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut whole = if negative { [0xff; 8] } else { [0; 8] };
        whole[..length].copy_from_slice(bytes);
        self.push_integer(i64::from_le_bytes(whole));
        Ok(())
    }

    fn text(&mut self, length: usize, reader: &mut ByteReader<'_>) -> Reading<()> {
        let text = reader.text(length)?.to_owned();
        self.push(Object::Text(text));
        Ok(())
    }

    fn bytes(&mut self, length: usize, reader: &mut ByteReader<'_>) -> Reading<()> {
        reader.take(length)?;
        self.push(Object::Bytes);
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Reading<()> {
        match self.stack.last() {
            Some(Slot::Object(id)) => drop(self.memo.insert(key, *id)),
            _ => return Err("there is nothing to remember".into()),
        }
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Reading<()> {
        let id = *self.memo.get(&key).ok_or_else(|| format!("object {key} was never remembered"))?;
        self.stack.push(Slot::Object(id));
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Reading<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a dict has a key without a value".into());
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_of_every_width_keep_their_sign() {
        let pickle = b"\x80\x02(K\x05M\x00\x01J\xff\xff\xff\xff\x8a\x03\x00\x00\x01\x8a\x01\xfe\x8a\x00t.";
        let objects = read(pickle).unwrap();
        let values: Vec<i64> = objects
            .tuple(objects.root())
            .unwrap()
            .iter()
            .map(|id| match objects.get(*id) {
                Object::Integer(value) => *value,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(values, [5, 256, -1, 65536, -2, 0]);
    }

    #[test]
    fn a_call_to_a_class_is_recorded_and_not_made() {
        let objects = read(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.").unwrap();
        let ((module, name), arguments) = objects.call(objects.root()).unwrap();
        assert_eq!((module, name), ("os", "system"));
        assert_eq!(objects.text(arguments[0]), Some("ls"));
    }

    #[test]
    fn nesting_without_end_is_read_and_dropped_without_recursion() {
        let mut pickle = vec![0x80, 2, b'N'];
        pickle.extend(std::iter::repeat_n(0x85, 2_000_000));
        pickle.push(b'.');
        assert!(read(&pickle).is_ok());
    }

    #[test]
    fn unknown_instructions_are_refused_with_their_place() {
        let problem = read(b"\x80\x02Nz.").err().unwrap();
        assert_eq!(problem, "pickle, byte 3: the instruction 0x7a is not one that torch.save writes");
    }

    proptest! {
        #[test]
        fn no_sequence_of_bytes_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_sequence_of_instructions_makes_it_panic(
            bytes in prop::collection::vec(prop::sample::select(b"\x80(NK\x88)]}\x85\x86\x87tldaesuqhRQb.0".to_vec()), 0..80)
        ) {
            let _ = read(&bytes);
        }
    }
}
