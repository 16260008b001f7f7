//! The program as people type it.

mod harness;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{DEVICE, Workspace, fixture};

fn photograph(workspace: &Workspace, name: &str) {
    let path = workspace.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_fn(90, 80, |x, y| image::Rgb([x as u8 * 2, y as u8, 40]))
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

/// One of the bundled models.
fn demo(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/demo");
    path.join(name).to_str().unwrap().to_owned()
}

/// Arguments of a run that takes no model.
fn preprocess<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["preprocess", "--mode", "resize", "--size", "16"];
    all.extend(more);
    all
}

#[test]
fn short_options_are_those_of_other_programs() {
    let workspace = Workspace::new();
    photograph(&workspace, "photos/visit/a.png");
    let model = fixture("models/resnet18_m3.pt");
    let arguments = [
        "predict",
        "-j",
        "1",
        "-q",
        "-r",
        "-m",
        model.to_str().unwrap(),
        "-o",
        "out",
        "--device",
        *DEVICE,
        "photos",
    ];
    let run = workspace.vascx(0, &arguments);
    assert_eq!(run.stdout, "");
    assert!(!run.stderr.contains("done:"), "{}", run.stderr);
    let table = std::fs::read_to_string(workspace.path("out/predictions.csv")).unwrap();
    assert!(
        table.lines().nth(1).unwrap().starts_with("visit__a,"),
        "{table}"
    );
}

#[test]
fn every_photograph_has_its_own_seconds() {
    let workspace = Workspace::new();
    photograph(&workspace, "photos/small.png");
    image::RgbImage::from_fn(3000, 2000, |x, y| image::Rgb([x as u8, y as u8, 40]))
        .save(workspace.path("photos/large.png"))
        .unwrap();
    std::fs::write(workspace.path("photos/bad.png"), "text").unwrap();
    let model = fixture("models/resnet18_m3.pt");
    let predict = [
        "predict",
        "-m",
        model.to_str().unwrap(),
        "--device",
        *DEVICE,
    ];
    // One thread, so that neither is stopped for the other.
    let predict = [&predict[..], &["-v", "-j", "1", "-o", "out", "photos"]].concat();
    let squares = preprocess(&["-v", "-j", "1", "-o", "squares", "photos"]);
    for (arguments, out) in [(predict, "out"), (squares, "squares")] {
        let run = workspace.vascx(1, &arguments);
        let mut reader = csv::Reader::from_path(workspace.path(out).join("manifest.csv")).unwrap();
        let rows: BTreeMap<String, BTreeMap<String, String>> = reader
            .deserialize()
            .map(|row| {
                row.map(|row: BTreeMap<String, String>| (row["id"].clone(), row))
                    .unwrap()
            })
            .collect();
        let seconds = |id: &str| rows[id]["seconds"].parse::<f64>().unwrap();
        // A thousand times as many pixels, through the same network.
        assert!(seconds("large") > 2.0 * seconds("small"), "{rows:?}");
        assert_eq!(rows["bad"]["seconds"], "");
        for id in ["small", "large"] {
            let line = format!("done: {id} (");
            let said = run.stderr.lines().find_map(|text| text.strip_prefix(&line));
            let said = said.and_then(|text| text.strip_suffix(" s)"));
            let said: f64 = said.expect(&run.stderr).parse().unwrap();
            assert!((said - seconds(id)).abs() < 0.006, "{}", run.stderr);
        }
        let again = [&arguments[..], &["--resume"]].concat();
        workspace
            .vascx(1, &again)
            .error_names(&["done: large (by an earlier run)"]);
    }
    workspace
        .vascx(2, &preprocess(&["-v", "-q", "-o", "none", "photos"]))
        .error_names(&["--verbose", "--quiet"]);
}

#[test]
fn shells_complete_commands_and_options() {
    let workspace = Workspace::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = workspace.vascx(0, &["completions", shell]).stdout;
        for word in ["predict", "save-probabilities", "dicom-id"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    workspace
        .vascx(2, &["completions", "tcsh"])
        .error_names(&["bash", "fish"]);
    // What bash itself offers.
    let script = workspace.vascx(0, &["completions", "bash"]).stdout;
    std::fs::write(workspace.path("vascx.bash"), script).unwrap();
    let offered = "source ./vascx.bash; COMP_WORDS=(vascx pre); COMP_CWORD=1; _vascx vascx pre vascx; \
                   echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash")
        .args(["-c", offered])
        .current_dir(workspace.path(""))
        .output();
    let Ok(bash) = bash else {
        return eprintln!("skipped: there is no bash");
    };
    assert_eq!(
        String::from_utf8_lossy(&bash.stdout),
        "predict preprocess\n",
        "{bash:?}"
    );
}

#[test]
fn manual_pages_describe_the_program_and_every_command() {
    let workspace = Workspace::new();
    let page = workspace.vascx(0, &["man"]).stdout;
    assert!(
        page.contains(".TH vascx 1") && page.contains("predict"),
        "{page}"
    );
    let page = workspace.vascx(0, &["man", "predict"]).stdout;
    for part in [".TH vascx-predict 1", "\\-\\-overlay", "\\-\\-recursive"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    workspace
        .vascx(2, &["man", "predct"])
        .error_names(&["predct", "vascx help"]);
}

#[test]
fn messages_are_coloured_where_that_is_wanted() {
    let run = |variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_vascx"))
            .args(["inspect", "nowhere.pt"])
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .envs(variables.iter().copied())
            .output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    let coloured = run(&[("CLICOLOR_FORCE", "1")]);
    assert!(
        coloured.starts_with("\x1b[1m\x1b[31merror:\x1b[0m"),
        "{coloured:?}"
    );
    for plain in [run(&[]), run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])] {
        assert!(plain.starts_with("error: "), "{plain:?}");
    }
}

#[test]
fn photographs_come_from_files_of_names_and_standard_input() {
    let workspace = Workspace::new();
    for name in ["photos/a.png", "photos/Müller 2.png", "c.png"] {
        photograph(&workspace, name);
    }
    for (names, out) in [
        ("photos/a.png\r\n\nphotos/Müller 2.png\r\n", "lines"),
        ("photos/a.png\0photos/Müller 2.png\0", "zeros"),
    ] {
        std::fs::write(workspace.path("names"), names).unwrap();
        let arguments = preprocess(&["--out", out, "--files-from", "names", "c.png"]);
        workspace.vascx(0, &arguments);
        let rgb = workspace.list(&format!("{out}/rgb"));
        assert_eq!(rgb, ["Müller 2.png", "a.png", "c.png"]);
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_vascx"))
        .args(preprocess(&["--out", "piped", "--files-from", "-"]))
        .current_dir(workspace.path(""))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"photos\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(workspace.list("piped/rgb"), ["Müller 2.png", "a.png"]);
    std::fs::write(workspace.path("names"), "\n").unwrap();
    let nothing = preprocess(&["--out", "none", "--files-from", "names"]);
    workspace
        .vascx(2, &nothing)
        .error_names(&["names", "no names"]);
    // The list itself is no output either.
    std::fs::create_dir(workspace.path("here")).unwrap();
    std::fs::write(workspace.path("here/manifest.csv"), "c.png\n").unwrap();
    let over = preprocess(&[
        "--out",
        "here",
        "--overwrite",
        "--files-from",
        "here/manifest.csv",
    ]);
    workspace
        .vascx(2, &over)
        .error_names(&["is the input", "here/manifest.csv"]);
    let list = std::fs::read_to_string(workspace.path("here/manifest.csv"));
    assert_eq!(list.unwrap(), "c.png\n");
}

#[test]
fn ids_are_as_much_of_the_path_as_is_wanted() {
    let workspace = Workspace::new();
    for name in ["one/a.png", "two/a.png", "two/a.jpg"] {
        photograph(&workspace, name);
    }
    let run = |code, out: &str, more: &[&str]| {
        let arguments = [&preprocess(&["--out", out]), more].concat();
        workspace.vascx(code, &arguments)
    };
    run(2, "stem", &["two"]).error_names(&["id `a`", "two/a.jpg", "--ids name"]);
    run(0, "name", &["--ids", "name", "two"]);
    assert_eq!(workspace.list("name/rgb"), ["a.jpg.png", "a.png.png"]);
    run(0, "path", &["--ids", "path", "one", "./two/a.png"]);
    assert_eq!(workspace.list("path/rgb"), ["one__a.png", "two__a.png"]);
    std::fs::write(workspace.path("list.csv"), "path\none/a.png\ntwo/a.png\n").unwrap();
    run(0, "list", &["--ids", "path", "list.csv"]);
    assert_eq!(workspace.list("list/rgb"), ["one__a.png", "two__a.png"]);
    run(2, "pattern", &["one/*.jpg"]).error_names(&["one/*.jpg", "quotes", "folder"]);
}

#[test]
fn the_exit_code_tells_some_from_none() {
    let workspace = Workspace::new();
    photograph(&workspace, "good.png");
    std::fs::write(workspace.path("bad.png"), "text").unwrap();
    for (code, out, inputs) in [
        (0, "all", &["good.png"][..]),
        (1, "some", &["good.png", "bad.png"]),
        (2, "none", &["bad.png"]),
    ] {
        let arguments = [&preprocess(&["--out", out]), inputs].concat();
        workspace.vascx(code, &arguments);
        let manifest = format!("{out}/manifest.csv");
        let manifest = std::fs::read_to_string(workspace.path(&manifest)).unwrap();
        assert_eq!(manifest.lines().count(), 1 + inputs.len());
    }
}

#[test]
fn demonstration_models_say_so_wherever_their_answers_are_seen() {
    const NOTICE: &str = "not for clinical use";
    let workspace = Workspace::new();
    photograph(&workspace, "a.png");
    let disc = demo("disc.pt");
    let run = workspace.vascx(
        0,
        &[
            "predict",
            "-q",
            "-m",
            &disc,
            "-o",
            "out",
            "--overlay",
            "--device",
            *DEVICE,
            "a.png",
        ],
    );
    run.error_names(&["note: demonstration model", NOTICE]);
    let record = std::fs::read_to_string(workspace.path("out/run.json")).unwrap();
    assert!(record.contains(NOTICE), "{record}");
    // White letters on black at the lower edge.
    let overlay = image::open(workspace.path("out/overlays/a.png"))
        .unwrap()
        .into_rgb8();
    let edge = overlay.height() - 60..overlay.height();
    let values: Vec<u8> = edge.flat_map(|y| overlay.get_pixel(0, y).0).collect();
    assert!(
        values.iter().all(|&value| value == 0 || value == 255),
        "{values:?}"
    );
    let white = overlay.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert!((200..4000).contains(&white), "{white} pixels are white");
    // It travels with the model.
    workspace
        .vascx(0, &["convert", &disc, "-o", "disc"])
        .error_names(&[NOTICE]);
    for model in [disc.as_str(), "disc"] {
        let text = workspace.vascx(0, &["inspect", model]).stdout;
        assert!(text.contains(NOTICE), "{text}");
    }
}

#[test]
fn a_model_is_described_on_one_screen() {
    let workspace = Workspace::new();
    for name in ["artery_vein.pt", "quality.pt"] {
        let text = workspace.vascx(0, &["inspect", &demo(name)]).stdout;
        assert!(text.lines().count() < 24, "{text}");
        for part in [
            "field of view cropped to",
            "--tensors",
            "normalisation",
            "batch size",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
    let text = workspace
        .vascx(0, &["inspect", "--tensors", &demo("quality.pt")])
        .stdout;
    assert!(
        text.contains("Module tree") && text.lines().count() > 100,
        "{text}"
    );
}

#[test]
fn what_is_no_model_is_called_by_its_name() {
    let workspace = Workspace::new();
    photograph(&workspace, "a.png");
    std::fs::create_dir(workspace.path("models")).unwrap();
    for name in ["disc.pt", "fovea.pt"] {
        std::fs::write(workspace.path("models").join(name), "").unwrap();
    }
    for (model, parts) in [
        ("a.png", &["a.png", "photograph"][..]),
        ("models", &["models", "disc.pt", "fovea.pt"]),
        ("nowhere.pt", &["nowhere.pt", "No such file"]),
    ] {
        let arguments = ["predict", "-m", model, "-o", "out", "a.png"];
        workspace.vascx(2, &arguments).error_names(parts);
        workspace.vascx(2, &["inspect", model]).error_names(parts);
    }
    for (typed, meant) in [("predct", "predict"), ("inspekt", "inspect")] {
        workspace.vascx(2, &[typed]).error_names(&[meant]);
    }
    workspace
        .vascx(2, &["predict", "--modl", "x"])
        .error_names(&["--model"]);
}
