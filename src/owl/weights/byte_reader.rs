//! A reader over bytes that may have been cut short or altered: every read is checked against the end.

/// Reads little-endian values one after another; a read past the end is an error that tells the position.
pub(super) struct ByteReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// What is wrong with a file's content; the caller adds the file.
pub(super) type Reading<T> = Result<T, String>;

impl<'a> ByteReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn take(&mut self, length: usize) -> Reading<&'a [u8]> {
        let end = self.position.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or_else(|| {
            format!("{length} bytes are needed at byte {}, but the data ends at {}", self.position, self.bytes.len())
        })?;
        let taken = &self.bytes[self.position..end];
        self.position = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Reading<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Reading<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Reading<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Reading<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Reading<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Reading<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A 64-bit length or size that has to fit into memory's address range.
    pub(super) fn size(&mut self) -> Reading<usize> {
        let value = self.u64()?;
        usize::try_from(value).map_err(|_| format!("the size {value} is larger than this machine can address"))
    }

    pub(super) fn text(&mut self, length: usize) -> Reading<&'a str> {
        let position = self.position;
        std::str::from_utf8(self.take(length)?).map_err(|_| format!("the text at byte {position} is not UTF-8"))
    }

    /// The text up to the next line feed, which is skipped.
    pub(super) fn line(&mut self) -> Reading<&'a str> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("a line does not end")?;
        let line = self.text(length)?;
        self.position += 1;
        Ok(line)
    }
}
