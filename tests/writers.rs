//! Several processes and one folder.

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};

use harness::Workspace;
use harness::prediction::{SEGMENTATION, model, photographs, predict, wait_for};

#[test]
fn a_folder_has_one_writer_and_the_lock_ends_with_its_process() {
    let workspace = Workspace::new();
    let model = model(SEGMENTATION);
    photographs(&workspace, 60);
    let arguments = predict(&model, &["--resume", "--batch-size", "1", "--quiet"]);
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
        command.args(&arguments).current_dir(workspace.path("."));
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        command.spawn().unwrap()
    };
    let mut first = start();
    wait_for(|| workspace.path("out/p00.png").exists());
    workspace.vascx(2, &arguments).error_names(&[
        "out is being written to by process",
        &first.id().to_string(),
        "another output folder",
    ]);
    first.kill().unwrap();
    first.wait().unwrap();
    workspace.vascx(0, &arguments);
    assert!(
        !workspace
            .list("out")
            .iter()
            .any(|name| name.starts_with(".vascx"))
    );
    assert_eq!(workspace.list("out").len(), 60 + 3);

    // Of four that begin at once, whoever has the folder does its work whole.
    fs::remove_dir_all(workspace.path("out")).unwrap();
    let four: Vec<_> = (0..4).map(|_| start()).collect();
    let codes: Vec<_> = four
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().status.code().unwrap())
        .collect();
    assert!(codes.iter().all(|code| [0, 2].contains(code)), "{codes:?}");
    assert!(codes.contains(&0), "{codes:?}");
    let rows = fs::read_to_string(workspace.path("out/manifest.csv")).unwrap();
    assert_eq!(rows.lines().count(), 61);
    assert_eq!(workspace.list("out").len(), 60 + 3);
}

/// Two models, or one with two settings: whoever has the folder first has it alone.
#[test]
fn of_two_jobs_at_once_one_is_done_and_the_other_refused() {
    let workspace = Workspace::new();
    photographs(&workspace, 12);
    let models = [model(SEGMENTATION), model("unet_m1")];
    let maps = || -> BTreeMap<String, Vec<u8>> {
        let names = workspace.list("out").into_iter();
        let maps = names.filter(|name| name.contains(".png"));
        maps.map(|name| {
            let bytes = fs::read(workspace.path(&format!("out/{name}"))).unwrap();
            (name, bytes)
        })
        .collect()
    };
    let expected = models.each_ref().map(|model| {
        workspace.vascx(0, &predict(model, &[]));
        let found = maps();
        fs::remove_dir_all(workspace.path("out")).unwrap();
        found
    });
    assert_ne!(expected[0], expected[1]);
    for round in 0..8 {
        let run = |model: &str| -> Child {
            let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
            command.args(predict(model, &["--batch-size", "1", "--quiet"]));
            command.stderr(Stdio::null()).stdout(Stdio::null());
            command.current_dir(workspace.path(".")).spawn().unwrap()
        };
        // Each is first in half of the rounds.
        let mut both = [run(&models[round % 2]), run(&models[1 - round % 2])];
        if round % 2 == 1 {
            both.reverse();
        }
        let codes = both.map(|mut child| child.wait().unwrap().code());
        let won = codes.iter().position(|code| *code == Some(0));
        let won = won.unwrap_or_else(|| panic!("round {round}: {codes:?}"));
        assert_eq!(codes[1 - won], Some(2), "round {round}");
        assert!(maps() == expected[won], "round {round}: {won} has won");
        fs::remove_dir_all(workspace.path("out")).unwrap();
    }
}
