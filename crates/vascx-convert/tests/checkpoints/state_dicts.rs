//! Every fixture state dict converts and answers like PyTorch; damaged ones are refused.

use std::io::{Cursor, Read, Write};

use crate::comparison::{TOLERANCE, error_of_module, fixture, relative_error};
use vascx_convert::{ArchitectureChoice, ConvertOptions, Model};
use vascx_models::Precision;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const FIXTURES: [&str; 15] = [
    "unet.pth",
    "resnet18.ckpt",
    "resnet50.safetensors",
    "smp_unet.pt",
    "monai_basic_unet.pt",
    "monai_dynunet.pth",
    "efficientnet.safetensors",
    "convnext.pt",
    "mobilenet_v3_small.pth",
    "mobilenet_v3_large.pt",
    "timm_efficientnet.pth",
    "timm_mobilenet_v3_small.pth",
    "timm_convnext.safetensors",
    "resnet18_head.pth",
    "efficientnet_head.pth",
];

fn convert(file: &str, options: &ConvertOptions) -> vascx_convert::Result<Model> {
    Model::convert(fixture(&format!("state_dicts/{file}")), options)
}

fn error_of(model: &Model, name: &str) -> f32 {
    relative_error(
        model,
        &fixture(&format!("state_dicts/{name}.reference.safetensors")),
    )
}

#[test]
fn every_family_answers_like_pytorch_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    for file in FIXTURES {
        let model = convert(file, &ConvertOptions::default());
        let model = model.unwrap_or_else(|error| panic!("{file}: {error}"));
        let name = file.split('.').next().unwrap();
        let error = error_of(&model, name);
        println!("{name}: relative error {error:e}");
        assert!(error <= TOLERANCE, "{name}: relative error {error:e}");
        let reference = fixture(&format!("state_dicts/{name}.reference.safetensors"));
        let error = error_of_module(&model, &reference);
        assert!(error <= TOLERANCE, "{name}: as a module {error:e}");

        let directory = folder.path().join(name);
        model.save(&directory, Precision::BF16, false).unwrap();
        let verification = model.verify(&directory, Precision::BF16).unwrap();
        assert!(verification.rounding > 0.0, "{name}: bf16 rounds");
        model
            .verify(&directory, Precision::F32)
            .expect_err("weights were rounded");
    }
}

#[test]
fn members_come_from_one_file_or_several() {
    let one = convert("ensemble.pt", &ConvertOptions::default()).unwrap();
    assert_eq!(one.manifest().members, 2);
    assert!(error_of(&one, "ensemble") <= TOLERANCE);
    let files = ["ensemble_0.pt", "ensemble_1.pt"].map(|file| fixture("state_dicts").join(file));
    let several = Model::convert_ensemble(&files, &ConvertOptions::default()).unwrap();
    assert_eq!(several.manifest().members, 2);
    assert_eq!(error_of(&several, "ensemble"), error_of(&one, "ensemble"));
    let other = [files[0].clone(), fixture("state_dicts/resnet18.ckpt")];
    let error = Model::convert_ensemble(&other, &ConvertOptions::default());
    let message = error.err().unwrap().to_string();
    assert!(message.contains("another network"), "{message}");
}

/// Whatever weights do not tell is said.
#[test]
fn assumptions_are_noted() {
    for (file, parts) in [
        ("smp_unet.pt", &["nearest neighbours", "no softmax"][..]),
        ("monai_basic_unet.pt", &["leaky ReLU", "instance"]),
        ("timm_efficientnet.pth", &["timm's", "tf_"]),
        ("resnet18_head.pth", &["`fc.1`", "dropout"]),
        ("efficientnet_head.pth", &["`classifier`", "dropout"]),
    ] {
        let model = convert(file, &ConvertOptions::default()).unwrap();
        let notes = model.notes().join("\n");
        for part in parts {
            assert!(notes.contains(part), "{file}: `{part}` is not in: {notes}");
        }
    }
}

/// A traced archive and the state dict of the same network give the same answers.
#[test]
fn a_release_takes_the_typed_network_its_program_agrees_with() {
    let named = |name: &str| ConvertOptions {
        architecture: Some(ArchitectureChoice::Named(name.into())),
        ..ConvertOptions::default()
    };
    let program = convert("ensemble_release.pt", &ConvertOptions::default()).unwrap();
    let typed = convert("ensemble_release.pt", &named("unet")).unwrap();
    assert_eq!(program.manifest().architecture.family(), "graph");
    assert_eq!(typed.manifest().architecture.family(), "unet");
    assert_eq!(typed.manifest().members, 2);
    assert!(error_of(&program, "ensemble") <= TOLERANCE);
    let dict = convert("ensemble.pt", &ConvertOptions::default()).unwrap();
    assert_eq!(error_of(&typed, "ensemble"), error_of(&dict, "ensemble"));
    let message = convert("ensemble_release.pt", &named("resnet18"))
        .err()
        .unwrap()
        .to_string();
    assert!(message.contains("do not fit"), "{message}");
}

/// The converter must refuse these bytes with a message that holds `part`.
fn refused(bytes: &[u8], part: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pt");
    std::fs::write(&path, bytes).unwrap();
    let error = Model::convert(&path, &ConvertOptions::default());
    let message = error.err().expect("refused").to_string();
    assert!(message.contains("hostile.pt"), "{message}");
    assert!(message.contains(part), "`{part}` is not in: {message}");
}

#[test]
fn truncated_legacy_files_are_refused() {
    let bytes = std::fs::read(fixture("state_dicts/unet.pth")).unwrap();
    for length in [15, 16, 40, 200, bytes.len() / 2, bytes.len() - 1] {
        refused(&bytes[..length], "");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    refused(&longer, "bytes follow");
}

/// A `torch.save` archive without weights: `data.pkl` alone.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in [("a/data.pkl", pickle), ("a/version", b"3\n")] {
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn endless_and_growing_dictionaries_are_refused() {
    // A dictionary that holds itself.
    refused(
        &archive(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."),
        "nest too deeply",
    );
    // Fifteen levels, each holding the one below fifteen times: 15^15 paths.
    let mut shared = b"\x80\x02}q\x00".to_vec();
    for _ in 0..15 {
        shared.extend(b"}(");
        for key in b'a'..b'a' + 15 {
            shared.extend([b"X\x01\x00\x00\x00", &[key][..], b"h\x00"].concat());
        }
        shared.extend(b"uq\x00");
    }
    shared.push(b'.');
    refused(&archive(&shared), "repeat too often");
    // Dictionaries under the names that trainers use, endlessly.
    refused(&archive(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s."), "");
    refused(&archive(b"\x80\x02}."), "no named tensors");
    refused(&archive(b"\x80\x02cos\nsystem\n."), "os.system");
}

#[test]
fn tensors_that_lie_about_their_storage_are_refused() {
    let whole = std::fs::read(fixture("state_dicts/ensemble_0.pt")).unwrap();
    // The first storage's elements are counted with BININT1 (`K`) just before TUPLE, BINPUT and
    // BINPERSID (`tq.Q`); the tensor's offset into it follows.
    let patched = |distance: isize, length: usize, replacement: &[u8]| {
        let mut zip = ZipArchive::new(Cursor::new(whole.clone())).unwrap();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).unwrap();
            let name = entry.name().unwrap().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if name.ends_with("/data.pkl") {
                let declared = b"tq\x08Q";
                let at = content.windows(4).position(|part| part == declared);
                let at = at.unwrap();
                let at = at.checked_add_signed(distance).unwrap();
                assert_eq!(content[at], b'K');
                content.splice(at..at + length, replacement.iter().copied());
            }
            writer.start_file(name, options).unwrap();
            writer.write_all(&content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    // 2^31 − 1 elements: eight gigabytes.
    refused(
        &patched(-2, 2, b"J\xff\xff\xff\x7f"),
        "more than this file can hold",
    );
    refused(&patched(-2, 2, b"K\x6d"), "holds 216 bytes");
    refused(&patched(-2, 2, b"K\x01"), "outside the storage");
    refused(&patched(4, 2, b"K\x01"), "outside the storage");
}

#[test]
fn legacy_storages_that_claim_more_than_there_is_are_refused() {
    let mut bytes = std::fs::read(fixture("state_dicts/unet.pth")).unwrap();
    // 4 × 3 × 3 × 3 half-precision values, as the count in eight bytes before them.
    let count = 108_u64.to_le_bytes();
    let at = bytes.windows(8).position(|window| window == count).unwrap();
    for lie in [u64::MAX, 1 << 62, 1 << 32, 109] {
        bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
        refused(&bytes, "");
    }
}

#[test]
fn safetensors_headers_that_lie_are_refused() {
    for header in [
        // Two tensors over the same bytes, bytes that are not there, a shape that is too large.
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
            "b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}}"#,
    ] {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0; 4]);
        refused(&bytes, "");
    }
    refused(b"\xff\xff\xff\xff\xff\xff\xff\xff{}", "safetensors");
}

/// Safetensors bytes of zeros.
fn zeros(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| vec![0; 4 * shape.iter().product::<usize>()])
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (name.clone(), view.unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn missing_extra_and_misshapen_tensors_are_named() {
    let bytes = std::fs::read(fixture("state_dicts/resnet50.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let whole: Vec<(String, Vec<usize>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.shape().to_vec()))
        .collect();
    let without: Vec<_> = whole
        .iter()
        .filter(|(name, _)| name != "layer2.1.bn2.bias")
        .cloned()
        .collect();
    refused(&zeros(&without), "no tensor `layer2.1.bn2.bias`");
    let mut extra = whole.clone();
    extra.push(("layer2.attention.weight".into(), vec![3]));
    refused(&zeros(&extra), "`layer2.attention.weight` has no place");
    // ResNeXt: the names of a ResNet, other shapes. The remedy works for any network.
    let mut grouped = whole.clone();
    for (name, shape) in &mut grouped {
        if name.ends_with(".conv2.weight") {
            shape[1] /= 2;
        }
    }
    refused(&zeros(&grouped), "torch.jit.trace");
    let mut misshapen = whole;
    for (name, shape) in &mut misshapen {
        if name == "layer3.0.bn1.weight" {
            shape[0] += 1;
        }
    }
    refused(&zeros(&misshapen), "`layer3.0.bn1.weight` has shape");
    refused(
        &zeros(&[("a.weight".into(), vec![2])]),
        "no tensor bears a name",
    );
}
