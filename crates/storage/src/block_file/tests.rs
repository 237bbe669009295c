//! The format of a file of blocks, byte by byte, and every fault of one.

use super::*;

const PREAMBLE: Preamble = Preamble { chain: ChainId::new([7; 32]), first: Height::new(3), count: 2 };

fn file() -> Vec<u8> {
    let mut writer = BlockWriter::new(Vec::new(), &PREAMBLE).unwrap();
    writer.put(b"one").unwrap();
    writer.put(b"").unwrap();
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, FileError> {
    BlockReader::new(bytes)?.collect()
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let expected =
        [b"MASSBLKS\x01\0\0\0", &[7; 32][..], b"\x03\0\0\0\x02\0\0\0", b"\x03\0\0\0one", b"\0\0\0\0"]
            .concat();
    assert_eq!(file(), expected);
    assert_eq!(read(&expected).unwrap(), [b"one".to_vec(), Vec::new()]);
    assert_eq!(BlockReader::new(&expected[..]).unwrap().preamble(), &PREAMBLE);
}

#[test]
fn a_file_that_ends_too_early_or_late_is_refused() {
    let good = file();
    for length in 0..good.len() {
        let error = read(&good[..length]).unwrap_err();
        let of_preamble = length < PREAMBLE_BYTES && matches!(error, FileError::Magic);
        assert!(of_preamble || matches!(error, FileError::Truncated { .. }), "{length}: {error}");
    }
    assert!(matches!(read(&[&good[..], &[0]].concat()), Err(FileError::Trailing)));
}

#[test]
fn what_a_file_says_of_itself_is_bounded() {
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = file();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        read(&file).unwrap_err()
    };
    assert!(matches!(changed(0, b"m"), FileError::Magic));
    assert!(matches!(changed(8, &[2]), FileError::Version { got: 2 }));
    assert!(matches!(changed(44, &[0]), FileError::Heights { .. }), "the genesis block is in no file");
    assert!(matches!(changed(48, &[0xff; 4]), FileError::Heights { .. }));
    // Nothing of that size is allocated.
    let error = changed(PREAMBLE_BYTES, &[0xff; 4]);
    assert!(matches!(error, FileError::Length { height: 3, got: 0xffff_ffff, .. }), "{error}");
}

#[test]
fn a_writer_keeps_its_word() {
    let mut writer = BlockWriter::new(Vec::new(), &PREAMBLE).unwrap();
    writer.put(b"one").unwrap();
    assert!(matches!(writer.put(&vec![0; BLOCK_BYTES_MAX + 1]), Err(FileError::Io(_))));
    assert!(writer.finish().is_err(), "one is missing");
    let mut writer = BlockWriter::new(Vec::new(), &Preamble { count: 0, ..PREAMBLE }).unwrap();
    assert!(matches!(writer.put(b"one"), Err(FileError::Trailing)));
}
