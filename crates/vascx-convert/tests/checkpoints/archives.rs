//! PyTorch's archives are read whatever their files were called when they were saved: the name is
//! in every entry, and its length moves everything.

use crate::comparison::fixture;
use vascx_convert::{ConvertOptions, Model};

fn u16_at(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()).into()
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The archive as PyTorch would have written it under another name, its data descriptors and ZIP64
/// records included.
fn renamed(archive: &[u8], stem: &str) -> Vec<u8> {
    let end = archive.len() - 22;
    assert_eq!(&archive[end..end + 4], b"PK\x05\x06");
    let (count, directory) = (u16_at(archive, end + 10), u32_at(archive, end + 16));
    let under = |name: &[u8]| {
        let below = name.iter().position(|&byte| byte == b'/').unwrap();
        [stem.as_bytes(), &name[below..]].concat()
    };
    let mut entries = Vec::new();
    let mut at = directory;
    for _ in 0..count {
        let [name, extra, comment] = [28, 30, 32].map(|field| u16_at(archive, at + field));
        let length = 46 + name + extra + comment;
        entries.push((u32_at(archive, at + 42), &archive[at..at + length], name));
        at += length;
    }
    let records = &archive[at..end];
    let mut ends: Vec<usize> = entries.iter().skip(1).map(|entry| entry.0).collect();
    ends.push(directory);
    let mut new = Vec::new();
    let mut central = Vec::new();
    for (&(start, entry, length), end) in entries.iter().zip(ends) {
        let local = &archive[start..end];
        let name = under(&entry[46..46 + length]);
        let size = u16::try_from(name.len()).unwrap().to_le_bytes();
        let offset = u32::try_from(new.len()).unwrap().to_le_bytes();
        central.extend(
            [
                &entry[..28],
                &size,
                &entry[30..42],
                &offset,
                &name,
                &entry[46 + length..],
            ]
            .concat(),
        );
        new.extend(
            [
                &local[..26],
                &size,
                &local[28..30],
                &name,
                &local[30 + length..],
            ]
            .concat(),
        );
    }
    let (start, size) = (new.len(), central.len());
    new.extend(central);
    let mut records = records.to_vec();
    if records.starts_with(b"PK\x06\x06") {
        let place = new.len() as u64;
        records[40..48].copy_from_slice(&(size as u64).to_le_bytes());
        records[48..56].copy_from_slice(&(start as u64).to_le_bytes());
        let locator = records.len() - 20;
        records[locator + 8..locator + 16].copy_from_slice(&place.to_le_bytes());
    }
    new.extend(records);
    let mut last = archive[end..].to_vec();
    last[12..16].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
    last[16..20].copy_from_slice(&u32::try_from(start).unwrap().to_le_bytes());
    new.extend(last);
    new
}

#[test]
fn names_of_any_length_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    for file in [
        "wrappers/best_model_checkpoint.pth",
        "wrappers/fovea_july24.pt",
        // Without a configuration, and older.
        "state_dicts/ensemble_0.pt",
        "models/unet_m1.pt",
    ] {
        let archive = std::fs::read(fixture(file)).unwrap();
        let with_records = archive.windows(4).any(|window| window == b"PK\x06\x06");
        assert!(with_records, "{file} has ZIP64 records");
        for length in 1..=64 {
            std::fs::write(&path, renamed(&archive, &"n".repeat(length))).unwrap();
            let model = Model::convert(&path, &ConvertOptions::default());
            if let Err(error) = model {
                panic!("{file} with a stem of {length} letters: {error}");
            }
        }
    }
}

/// As PyTorch wrote them: the second ZIP64 record lies where a search for the directory ends.
#[test]
fn published_names_are_read() {
    for file in ["best_model_checkpoint.pth", "fovea_july24.pt"] {
        Model::convert(fixture("wrappers").join(file), &ConvertOptions::default()).unwrap();
    }
}
