//! ONNX fixtures convert and answer like PyTorch; damaged and hostile ones are errors.

use std::fs;

use crate::comparison::{TOLERANCE, answers, check, difference};
use vascx_convert::{ConvertOptions, Error, Model, Result, Task};

#[test]
fn unet_two_members() {
    check("onnx/unet_m2.onnx", Task::Segmentation, 2);
}

#[test]
fn unet_instance_norm_bilinear_by_the_newer_exporter() {
    check("onnx/unet_bilinear_exported.onnx", Task::Segmentation, 2);
}

#[test]
fn resnet18_two_members() {
    check("onnx/resnet18_m2.onnx", Task::Classification, 2);
}

#[test]
fn attention_by_both_exporters() {
    check("onnx/attentive_m2.onnx", Task::Classification, 2);
    check("onnx/attentive_exported.onnx", Task::Classification, 1);
}

#[test]
fn pieces_of_mobile_networks_by_both_exporters() {
    check("onnx/pieces_m1.onnx", Task::Segmentation, 1);
    check("onnx/pieces_exported.onnx", Task::Segmentation, 2);
}

#[test]
fn operators_one_by_one() {
    check_lines("operators");
}

#[test]
fn images_with_their_channels_last() {
    check_lines("channels_last");
    let path = crate::comparison::fixture("onnx/channels_last.onnx");
    let model = Model::convert(path, &ConvertOptions::default()).unwrap();
    let manifest = serde_json::to_string(model.manifest()).unwrap();
    // What turns images around twice is left out.
    assert!(!manifest.contains("permute"), "{manifest}");
    assert!(model.notes().join("\n").contains("channels last"));
}

#[test]
fn the_oldest_version_with_values_in_another_file() {
    check_lines("older");
}

/// Each channel is an operator; the reference is ONNX Runtime's, in f32 as well.
fn check_lines(fixture: &str) {
    let path = crate::comparison::fixture(&format!("onnx/{fixture}.onnx"));
    let model = Model::convert(&path, &ConvertOptions::default()).unwrap();
    let mut wrong = Vec::new();
    for answers in answers(&model, &path.with_extension("safetensors")) {
        let shape = &answers.shape;
        let (channels, plane) = (shape[2], shape[3] * shape[4]);
        for channel in 0..channels {
            let pick = |all: &[f32]| -> Vec<f32> {
                let planes = all.chunks_exact(plane);
                planes
                    .skip(channel)
                    .step_by(channels)
                    .flatten()
                    .copied()
                    .collect()
            };
            let error = difference(&pick(&answers.expected), &pick(&answers.actual));
            if error > TOLERANCE {
                wrong.push(format!("line {channel}, {shape:?}: {error:e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Converts bytes from a file of their own.
fn convert(bytes: &[u8]) -> Result<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, bytes).unwrap();
    Model::convert(&path, &ConvertOptions::default())
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(crate::comparison::fixture(&format!("onnx/{name}.onnx"))).unwrap()
}

#[test]
fn truncated_files_are_errors() {
    for name in ["pieces_m1", "attentive_exported"] {
        let whole = fixture(name);
        for length in (0..whole.len()).step_by(97) {
            assert!(convert(&whole[..length]).is_err(), "{name}: {length} bytes");
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    for name in ["pieces_m1", "attentive_m2"] {
        let whole = fixture(name);
        let mut refused = 0;
        // A step without common divisors with the bits of a byte reaches each of them.
        for bit in (0..whole.len() * 8).step_by(353) {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused += usize::from(convert(&damaged).is_err());
        }
        assert!(refused > 0, "{name}");
    }
}

/// The message format, as far as hostile files need it.
mod build {
    pub(crate) fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    pub(crate) fn int(field: u64, value: i64) -> Vec<u8> {
        [varint(field << 3), varint(value.cast_unsigned())].concat()
    }

    pub(crate) fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
        [
            &varint(field << 3 | 2),
            &varint(content.len() as u64),
            content,
        ]
        .concat()
    }

    fn port(field: u64, name: &str, sizes: &[i64]) -> Vec<u8> {
        let axes: Vec<u8> = sizes.iter().flat_map(|&s| bytes(1, &int(1, s))).collect();
        let tensor = [int(1, 1), bytes(2, &axes)].concat();
        let content = [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat();
        bytes(field, &content)
    }

    pub(crate) fn node(
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[u8],
    ) -> Vec<u8> {
        let mut content: Vec<u8> = inputs.iter().flat_map(|i| bytes(1, i.as_bytes())).collect();
        content.extend(bytes(2, output.as_bytes()));
        content.extend(bytes(4, operator.as_bytes()));
        content.extend(attributes);
        bytes(1, &content)
    }

    /// An attribute of integers, as a field of a node.
    pub(crate) fn ints(name: &str, values: &[i64]) -> Vec<u8> {
        let mut content = bytes(1, name.as_bytes());
        content.extend(values.iter().flat_map(|&value| int(8, value)));
        content.extend(int(20, 7));
        bytes(5, &content)
    }

    /// An attribute that is one integer, as a field of a node.
    pub(crate) fn flag(name: &str, value: i64) -> Vec<u8> {
        let content = [bytes(1, name.as_bytes()), int(3, value), int(20, 2)].concat();
        bytes(5, &content)
    }

    /// A tensor of the file without values: sizes and raw bytes.
    pub(crate) fn weight(name: &str, code: i64, sizes: &[i64], raw: &[u8]) -> Vec<u8> {
        let mut content: Vec<u8> = sizes.iter().flat_map(|&size| int(1, size)).collect();
        content.extend([int(2, code), bytes(8, name.as_bytes()), bytes(9, raw)].concat());
        bytes(5, &content)
    }

    /// A file that maps `x` `[2, 6, 32, 32]` to `prediction`.
    pub(crate) fn file(opset: i64, parts: &[Vec<u8>]) -> Vec<u8> {
        let mut graph = parts.concat();
        graph.extend(port(11, "x", &[2, 6, 32, 32]));
        graph.extend(port(12, "prediction", &[2, 6, 32, 32]));
        [int(1, 8), bytes(7, &graph), bytes(8, &int(2, opset))].concat()
    }
}

/// The message of the refusal.
fn refusal(bytes: &[u8]) -> String {
    match convert(bytes) {
        Ok(_) => panic!("converted"),
        Err(Error::InFile { source, .. }) => source.to_string(),
        Err(other) => panic!("{other} names no file"),
    }
}

#[test]
fn the_smallest_file_converts() {
    // What the refusals below are variations of.
    let relu = build::node("Relu", &["x"], "prediction", &[]);
    let model = convert(&build::file(17, &[relu])).unwrap();
    assert_eq!(model.manifest().members, 1);
}

#[test]
fn impossible_sizes_are_refused_before_memory_is_touched() {
    let conv = build::node("Conv", &["x", "w"], "prediction", &[]);
    for sizes in [
        &[i64::MAX, i64::MAX, 6, 3][..],
        &[1 << 40, 6, 1, 1],
        &[-1, 6, 1, 1],
        &[i64::MIN, 0, 1, 1],
        &[0, 6, 1, 1],
        &[6, 6, 1, 1],
    ] {
        let weight = build::weight("w", 1, sizes, &[0; 8]);
        refusal(&build::file(17, &[weight, conv.clone()]));
    }
    // Constants computed from sizes.
    let raw: Vec<u8> = [1_i64 << 31; 4]
        .iter()
        .flat_map(|s| s.to_le_bytes())
        .collect();
    let sizes = build::weight("sizes", 7, &[4], &raw);
    for operator in ["ConstantOfShape", "Expand", "Reshape", "Tile"] {
        let inputs: &[&str] = if operator == "ConstantOfShape" {
            &["sizes"]
        } else {
            &["x", "sizes"]
        };
        let node = build::node(operator, inputs, "prediction", &[]);
        refusal(&build::file(17, &[sizes.clone(), node]));
    }
    let pads = build::ints("pads", &[i64::MAX; 4]);
    let kernel = build::ints("kernel_shape", &[i64::MAX, 2]);
    let pool = build::node("MaxPool", &["x"], "prediction", &[pads, kernel].concat());
    refusal(&build::file(17, &[pool]));
}

#[test]
fn graphs_that_do_not_run_in_order_are_refused() {
    let cycle = [
        build::node("Add", &["x", "b"], "a", &[]),
        build::node("Relu", &["a"], "b", &[]),
        build::node("Relu", &["b"], "prediction", &[]),
    ];
    assert!(refusal(&build::file(17, &cycle)).contains("before it is computed"));
    let unknown = build::node("Add", &["x", "nowhere"], "prediction", &[]);
    assert!(refusal(&build::file(17, &[unknown])).contains("`nowhere`"));
    let itself = build::node("Relu", &["prediction"], "prediction", &[]);
    assert!(refusal(&build::file(17, &[itself])).contains("before it is computed"));
    let twice = build::node("Relu", &["x"], "prediction", &[]);
    assert!(refusal(&build::file(17, &[twice.clone(), twice])).contains("twice"));
    let elsewhere = build::node("Relu", &["x"], "y", &[]);
    assert!(refusal(&build::file(17, &[elsewhere])).contains("never computed"));
    refusal(&build::file(
        17,
        &[build::node("Relu", &[], "prediction", &[])],
    ));
}

#[test]
fn what_is_not_checked_against_pytorch_is_refused_by_name() {
    let relu = build::node("Relu", &["x"], "prediction", &[]);
    for opset in [0, 8, 24, i64::MAX] {
        let text = refusal(&build::file(opset, std::slice::from_ref(&relu)));
        assert!(text.contains("version"), "{text}");
    }
    for (operator, inputs, attributes) in [
        ("If", &["x"][..], Vec::new()),
        ("LSTM", &["x"], Vec::new()),
        ("Mod", &["x", "x"], build::flag("fmod", 1)),
        (
            "AveragePool",
            &["x"],
            [
                build::flag("ceil_mode", 1),
                build::flag("count_include_pad", 1),
            ]
            .concat(),
        ),
        ("Dropout", &["x", "", "x"], Vec::new()),
    ] {
        let node = build::node(operator, inputs, "prediction", &attributes);
        let text = refusal(&build::file(17, &[node]));
        let expected = format!("unsupported operators:\n  {operator}");
        assert!(text.contains(&expected), "{text}");
        assert!(text.contains("what may help: export it anew"), "{text}");
    }
}

#[test]
fn values_are_read_from_beside_the_model_only() {
    let conv = build::node("Conv", &["x", "w"], "prediction", &[]);
    for location in ["/etc/hostname", "../w", "a/b", "", ".", "missing"] {
        let entry = [
            build::bytes(1, b"location"),
            build::bytes(2, location.as_bytes()),
        ]
        .concat();
        let content = [
            [6, 6, 1, 1].map(|size| build::int(1, size)).concat(),
            build::int(2, 1),
            build::bytes(8, b"w"),
            build::bytes(13, &entry),
            build::int(14, 1),
        ]
        .concat();
        let text = refusal(&build::file(17, &[build::bytes(5, &content), conv.clone()]));
        assert!(text.contains("tensor `w`"), "{location}: {text}");
    }
}
