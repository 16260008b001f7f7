//! A checkpoint is untrusted input: damaged, hostile and foreign files make `convert` exit with 2,
//! a message that names the file and what is wrong, no output, and never a gibibyte of memory.

mod harness;

use std::io::{Cursor, Read, Write};

use harness::release::{release, rewritten, with_program};
use harness::{Workspace, fixture};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Checks that `convert` refuses the bytes, naming `parts`, and leaves nothing behind.
fn refused(bytes: &[u8], parts: &[&str]) {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("hostile.pt"), bytes).unwrap();
    let arguments = ["convert", "hostile.pt", "--out", "deep/model"];
    let run = workspace.vascx_in_one_gibibyte(2, &arguments);
    run.error_names(&["hostile.pt"]).error_names(parts);
    assert_eq!(workspace.list("."), ["hostile.pt"]);
}

/// The fixture release with one entry replaced.
fn with_entry(name: &str, content: &[u8]) -> Vec<u8> {
    rewritten(false, |entry, old| {
        let replaced = entry
            .split_once('/')
            .is_some_and(|(_, below)| below == name);
        Some((
            entry.to_owned(),
            if replaced { content.to_vec() } else { old },
        ))
    })
}

#[test]
fn recompressed_and_renamed_releases_still_convert() {
    let workspace = Workspace::new();
    let bytes = rewritten(true, |name, content| {
        let below = name.split_once('/').unwrap().1;
        Some((format!("other/{below}"), content))
    });
    std::fs::write(workspace.path("renamed.pt"), bytes).unwrap();
    workspace.vascx(0, &["convert", "renamed.pt", "--out", "model"]);
}

#[test]
fn truncated_files_are_refused() {
    let bytes = release();
    for length in [0, 1, 30, 1000, bytes.len() / 2, bytes.len() - 1] {
        refused(&bytes[..length], &[]);
    }
}

#[test]
fn flipped_bits_never_pass_as_weights() {
    let bytes = release();
    let workspace = Workspace::new();
    std::fs::write(workspace.path("good.pt"), &bytes).unwrap();
    workspace.vascx(0, &["convert", "good.pt", "--out", "good"]);
    let good = std::fs::read(workspace.path("good/weights.safetensors")).unwrap();
    // Either the flip is noticed, or it hit a byte that carries nothing (padding, timestamps).
    for step in 0..120 {
        let mut flipped = bytes.clone();
        let position = (step * 7919 + 13) % bytes.len();
        flipped[position] ^= 1 << (step % 8);
        std::fs::write(workspace.path("flipped.pt"), flipped).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vascx"));
        command.args(["convert", "flipped.pt", "--out", "flipped", "--force"]);
        let output = command.current_dir(workspace.path(".")).output().unwrap();
        match output.status.code() {
            Some(0) => {
                let weights = std::fs::read(workspace.path("flipped/weights.safetensors")).unwrap();
                assert!(
                    weights == good,
                    "a flip at {position} changed weights unnoticed"
                );
            }
            code => {
                assert_eq!(code, Some(2), "flip at {position}");
                let message = String::from_utf8_lossy(&output.stderr);
                assert!(message.contains("flipped.pt"), "{message}");
                assert!(!message.contains("panicked"), "{message}");
            }
        }
    }
}

#[test]
fn foreign_files_are_refused() {
    refused(b"not a checkpoint at all", &["PyTorch ZIP archive"]);
    refused(
        &std::fs::read(fixture("models/unet_m1.safetensors")).unwrap(),
        &["no known network"],
    );
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .start_file("word/document.xml", SimpleFileOptions::default())
        .unwrap();
    refused(
        &writer.finish().unwrap().into_inner(),
        &["data.pkl", "TorchScript"],
    );
}

#[test]
fn pickles_that_would_run_code_are_refused_by_name() {
    // Protocol 2: os.system("touch pwned").
    let attack = b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00touch pwned\x85R.";
    refused(&with_entry("data.pkl", attack), &["os.system", "data.pkl"]);
    let attack = b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.";
    refused(&with_entry("data.pkl", attack), &["__builtin__.eval"]);
}

#[test]
fn damaged_pickles_are_refused() {
    for (pickle, named) in [
        (&b""[..], "ends early"),
        (b"\x80\x02X\xff\xff\xff\xffabc", "ends early"),
        (b"\x80\x02(((.", "stack"),
        (b"\x80\x02t.", "mark"),
        (b"\x80\x02h\x05.", "memo slot 5"),
        (b"\x80\x02\x82", "opcode 0x82"),
        (b"\x80\x02i", "ends inside a line"),
        (b"\x80\x06", "protocol 6"),
        (b"\x80\x02}.", "module"),
    ] {
        refused(&with_entry("data.pkl", pickle), &["data.pkl", named]);
    }
}

/// A `torch.save` file of this pickle, with the weights of a fixture beside it.
fn state_dict(pickle: &[u8]) -> Vec<u8> {
    let whole = std::fs::read(fixture("state_dicts/ensemble_0.pt")).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(whole)).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        writer.start_file(&name, options).unwrap();
        let replaced = name.ends_with("/data.pkl");
        writer
            .write_all(if replaced { pickle } else { &content })
            .unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The pickle of a fixture's weights under `state_dict`, with other items before it.
fn beside(items: &[u8]) -> Vec<u8> {
    let whole = std::fs::read(fixture("state_dicts/ensemble_0.pt")).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(whole)).unwrap();
    let index = (0..archive.len()).find(|&index| {
        let name = archive.name_for_index(index).unwrap().unwrap();
        name.ends_with("/data.pkl")
    });
    let mut weights = Vec::new();
    let mut entry = archive.by_index(index.unwrap()).unwrap();
    entry.read_to_end(&mut weights).unwrap();
    let weights = &weights[2..weights.len() - 1];
    let key = b"X\x0a\x00\x00\x00state_dict";
    [b"\x80\x02}(", items, key, weights, b"u."].concat()
}

#[test]
fn objects_beside_weights_build_nothing() {
    let workspace = Workspace::new();
    for (index, attack) in [
        &b"cos\nsystem\nX\x0b\x00\x00\x00touch pwned\x85R"[..],
        b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93X\x0b\x00\x00\x00touch pwned\x85R",
        b"(X\x0b\x00\x00\x00touch pwnedios\nsystem\n",
        b"(cos\nsystem\nX\x0b\x00\x00\x00touch pwnedo",
        b"cbuiltins\neval\nX\x01\x00\x00\x001\x85\x81",
        // What a call gave is called, given a state and items.
        b"cos\nsystem\n)R)R}X\x01\x00\x00\x00aK\x01sbX\x01\x00\x00\x00bK\x02s",
    ]
    .into_iter()
    .enumerate()
    {
        let item = [b"X\x01\x00\x00\x00a", attack].concat();
        let file = format!("attack{index}.pt");
        std::fs::write(workspace.path(&file), state_dict(&beside(&item))).unwrap();
        let out = format!("model{index}");
        workspace.vascx_in_one_gibibyte(0, &["convert", &file, "--out", &out]);
        assert!(!workspace.path("pwned").exists(), "{file}");
    }
}

#[test]
fn objects_without_end_are_refused() {
    let module = |children: &[u8]| {
        let mut bytes = b"ca\nM\n)\x81q\x00}(X\x0b\x00\x00\x00_parameters}".to_vec();
        bytes.extend(b"X\x08\x00\x00\x00_modules}(");
        bytes.extend(children);
        bytes.extend(b"uub");
        bytes
    };
    // A tensor that makes the tree worth walking.
    let tensor = b"X\x01\x00\x00\x00tctorch._utils\n_rebuild_tensor_v2\n(\
        (X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ\
        K\x00))\x89}tR";
    let own = [&tensor[..], b"X\x01\x00\x00\x00ah\x00"].concat();
    let own = [b"\x80\x02", &module(&own)[..], b"."].concat();
    refused(&state_dict(&own), &["nest too deeply"]);
    // Thirty levels of a module twice in the one above: 2^30 paths.
    let mut shared = module(tensor);
    for _ in 0..30 {
        shared.extend(b"q\x01");
        shared.extend(module(b"X\x01\x00\x00\x00ah\x01X\x01\x00\x00\x00bh\x01"));
    }
    let shared = [b"\x80\x02", &shared[..], b"."].concat();
    refused(&state_dict(&shared), &["repeat too often"]);
    // Two million objects and more, from one class.
    let objects = [b"cos\nsystem\nq\x00", &b"h\x00)R"[..].repeat(1_100_000)[..]].concat();
    let objects = [b"\x80\x02(", &objects[..], b"l."].concat();
    refused(&state_dict(&objects), &["more than 2000000 values"]);
    // One tensor, again and again, under names of a megabyte.
    let name = vec![b'n'; 1 << 20];
    let mut long = b"\x80\x02}(X\x00\x00\x10\x00".to_vec();
    long.extend(&name);
    long.extend(b"}(");
    for index in 0..200_u8 {
        long.extend([b"X\x02\x00\x00\x00", format!("{index:02x}").as_bytes()].concat());
        if index == 0 {
            long.extend(&tensor[6..]);
            long.extend(b"q\x00");
        } else {
            long.extend(b"h\x00");
        }
    }
    long.extend(b"uu.");
    refused(&state_dict(&long), &["names of tensors are too long"]);
    let class = [b"\x80\x02c", &name[..], b"\nM\n."].concat();
    refused(&state_dict(&class), &["name is too long"]);
}

#[test]
fn deep_and_endless_module_trees_are_refused() {
    let class = b"c__torch__\nM\n)\x81";
    let attribute = b"}X\x01\x00\x00\x00a";
    // A module that is its own attribute.
    let mut own = vec![0x80, 2];
    own.extend(class);
    own.extend(b"q\x00");
    own.extend(attribute);
    own.extend(b"h\x00sb.");
    refused(&with_entry("data.pkl", &own), &["nest deeper"]);
    // A hundred thousand modules, each inside the one before.
    let mut deep = vec![0x80, 2];
    for _ in 0..100_000 {
        deep.extend(class);
        deep.extend(attribute);
    }
    deep.extend(b"N");
    deep.extend(b"sb".repeat(100_000));
    deep.push(b'.');
    refused(&with_entry("data.pkl", &deep), &["nest deeper"]);
    // Fifty levels of a module twice in the one above: 2^50 paths.
    let mut shared = vec![0x80, 2];
    shared.extend(class);
    shared.extend(b"q\x00");
    for _ in 0..50 {
        shared.extend(class);
        shared.extend(b"}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00ubq\x00");
    }
    shared.push(b'.');
    refused(&with_entry("data.pkl", &shared), &["modules"]);
}

#[test]
fn tensors_that_lie_about_their_storage_are_refused() {
    // The first storage is declared with BININT1 (`K`) just before TUPLE and BINPERSID (`tQ`).
    let patched = |replacement: &[u8]| {
        rewritten(false, |name, mut content| {
            if name.ends_with("/data.pkl") {
                let at = content.windows(2).position(|pair| pair == b"tQ").unwrap();
                assert_eq!(content[at - 2], b'K');
                content.splice(at - 2..at, replacement.iter().copied());
            }
            Some((name.to_owned(), content))
        })
    };
    // 2^31 − 1 elements: eight gigabytes.
    refused(
        &patched(b"J\xff\xff\xff\x7f"),
        &["data/", "more than this file can hold"],
    );
    // One more than there are.
    refused(&patched(b"K\x6d"), &["data/"]);
    // Fewer than the tensor needs.
    refused(&patched(b"K\x01"), &["outside the storage"]);
    refused(&patched(b"J\xff\xff\xff\xff"), &["-1"]);
}

#[test]
fn entries_that_inflate_climb_or_lie_are_refused() {
    // Ten million zeros deflate to ten kilobytes.
    let bomb = rewritten(true, |name, content| {
        let bomb = name.ends_with("/data/0");
        Some((
            name.to_owned(),
            if bomb { vec![0; 10_000_000] } else { content },
        ))
    });
    refused(&bomb, &["data/0", "declares 10000000 bytes"]);
    let pickle_bomb = rewritten(true, |name, content| {
        let bomb = name.ends_with("/data.pkl");
        Some((
            name.to_owned(),
            if bomb {
                vec![b'N'; 200_000_000]
            } else {
                content
            },
        ))
    });
    refused(&pickle_bomb, &["data.pkl", "200000000"]);
    for name in ["../escape", "/absolute", "a/../../b", "C:\\windows"] {
        let climbing = rewritten(false, |entry, content| {
            let name = if entry.ends_with("/version") {
                name
            } else {
                entry
            };
            Some((name.to_owned(), content))
        });
        refused(&climbing, &["absolute or climbs"]);
    }
    refused(&with_entry("byteorder", b"big"), &["byteorder", "big"]);
}

#[test]
fn unusable_configurations_are_refused() {
    refused(
        &with_entry("extra/config.yaml", b"name: yaml\n"),
        &["config.yaml"],
    );
    let overlap = br#"{"inference": {"overlap": 1.5},
                      "datamodule": {"test_transform": {"contrast_enhance": false}}}"#;
    refused(
        &with_entry("extra/config.yaml", overlap),
        &["config.yaml", "overlap 1.5"],
    );
    let class = br#"{"inference": {"ensemble_class": "Oracle"}}"#;
    refused(&with_entry("extra/config.yaml", class), &["Oracle"]);
    // Six channels by default, the network takes three.
    let contrast = br#"{"datamodule": {"test_transform": {"contrast_enhance": true}}}"#;
    refused(&with_entry("extra/config.yaml", contrast), &["3 channels"]);
}

#[test]
fn programs_that_run_forever_or_grow_without_bound_are_refused() {
    let endless = "    while True:\n      a = 1\n    return x";
    refused(&with_program(endless, ""), &["networks.py:", "steps"]);
    let long = "    for i in range(9223372036854775807):\n      pass\n    return x";
    refused(&with_program(long, ""), &["networks.py:3", "range"]);
    let growing = "    a = [1]\n    while True:\n      a = torch.add(a, a)\n    return x";
    refused(&with_program(growing, ""), &["list of more than"]);
    let huge = "    a = torch.zeros([1000000, 1000000, 1000000])\n    return torch.add(x, a)";
    refused(&with_program(huge, ""), &["too large"]);
    let large = "    a = x\n    for i in range(60):\n      a = torch.cat([a, a], 0)\n    return a";
    refused(&with_program(large, ""), &["too large"]);
}

#[test]
fn programs_that_nest_too_deeply_are_refused() {
    let itself = "    return (self).forward(x, )";
    refused(&with_program(itself, ""), &["calls nest deeper"]);
    let twice = "    return torch.add((self).again(x, ), 1)";
    let again = "  def again(self, x: Tensor) -> Tensor:\n    return (self).forward(x, )";
    refused(&with_program(twice, again), &["calls nest deeper"]);
    let brackets = format!("    return {}x{}", "(".repeat(200_000), ")".repeat(200_000));
    refused(
        &with_program(&brackets, ""),
        &["networks.py", "line 3", "deeper"],
    );
}

#[test]
fn programs_that_make_no_sense_are_refused() {
    for (body, named) in [
        ("    return y", "answers with a function"),
        ("    return 1", "answers with"),
        ("    return torch.view(x, [-1, -1])", "cannot become"),
        ("    return torch.slice(x, 7)", "axis 7"),
        ("    return CONSTANTS.c99999", "no constant"),
        ("    a, b, = [x]\n    return a", "1 values for 2 names"),
        ("    return self.nothing", "no attribute `nothing`"),
        ("    return torch.floordiv(1, 0)", "no value"),
        ("    return torch.conv2d(x, x, None, [0, 0])", "positive"),
        ("    return (", "line"),
    ] {
        refused(&with_program(body, ""), &[named]);
    }
}

#[test]
fn answers_of_another_shape_or_kind_are_refused_in_words() {
    for (body, named) in [
        ("    return torch.select(x, 1, 0)", "[N, C, H, W]"),
        ("    return torch.mean(x)", "[N, C, H, W]"),
        ("    return torch.cat([x, x])", "[N, C, H, W]"),
        (
            "    return torch.argmax(x, 1, True)",
            "whole numbers [2, 1, ",
        ),
        ("    return torch.gt(x, 0)", "truth values [2, 3, "),
    ] {
        let body = with_program(body, "");
        let workspace = Workspace::new();
        std::fs::write(workspace.path("model.pt"), &body).unwrap();
        let run = workspace.vascx(2, &["convert", "model.pt", "--out", "out"]);
        run.error_names(&["the network answers with", named]);
        // No names that programs have for things.
        assert!(!run.stderr.contains("dtype"), "{}", run.stderr);
    }
}

#[test]
fn every_unsupported_operator_is_named_with_its_place() {
    let body = "    a = torch.fft_rfft2(x)\n    b = torch.lstsq(x, a)\n    return torch.det(x)";
    refused(
        &with_program(body, ""),
        &[
            "unsupported operators",
            "fft_rfft2",
            "networks.py:3",
            "det",
            "networks.py:5",
            "(root)",
            "what may help: export the same network to ONNX",
        ],
    );
}

#[test]
fn norms_by_the_statistics_of_the_batch_are_refused_with_the_reason() {
    // Several images, as any network may be given: the answer for one would depend on the others.
    let body = "    y = torch.cat([x, x])\n    return torch.batch_norm(y, None, None, None, None, \
                True, 0.1, 1e-05, True)";
    let named = ["depends on the other images of a batch", "model.eval()"];
    refused(&with_program(body, ""), &named);
}
