use std::fs;
use std::path::{Path, PathBuf};

use super::{InputOptions, Inputs, ids};
use crate::error::Result;

fn ids_of(arguments: &[PathBuf]) -> Result<Vec<String>> {
    let inputs = Inputs::resolve(arguments, InputOptions::default())?;
    Ok(inputs
        .photographs
        .into_iter()
        .map(|input| input.id)
        .collect())
}

#[test]
fn folders_files_and_lists_combine_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("photos")).unwrap();
    for name in ["photos/b.PNG", "photos/a.jpg", "photos/notes.txt", "c.tif"] {
        fs::write(path(name), "").unwrap();
    }
    let list = "path,id,eye\nphotos/a.jpg, x ,left\n/abs/p.png,y,right\n";
    fs::write(path("list.csv"), list).unwrap();
    let arguments = [path("c.tif"), path("photos"), path("list.csv")];
    assert_eq!(ids_of(&arguments).unwrap(), ["c", "a", "b", "x", "y"]);
    let inputs = Inputs::resolve(&arguments, InputOptions::default()).unwrap();
    assert_eq!(inputs.photographs[3].path, path("photos/a.jpg"));
    assert_eq!(inputs.photographs[4].path, Path::new("/abs/p.png"));
    assert_eq!(
        inputs.left_out.to_string(),
        "left out: 1 other file (1 .txt)"
    );
}

#[test]
fn unusable_arguments_name_the_file_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir(path("other")).unwrap();
    for (name, content) in [
        ("a.png", ""),
        ("B.png", ""),
        ("b.jpg", ""),
        ("NUL.png", ""),
        ("other/a.jpg", ""),
        ("columns.csv", "id;file\na;b\n"),
        ("climb.csv", "id,path\n../a,b\n"),
        ("control.csv", "id,path\n\"a\nb\",b\n"),
        ("no_path.csv", "id,path\n\nx,\n"),
        ("none.csv", "id,path\n,\n"),
    ] {
        fs::write(path(name), content).unwrap();
    }
    fs::write(path("latin1.csv"), b"id,path\nx,M\xfcller.png\n").unwrap();
    for (arguments, expected) in [
        (vec![path("missing")], "missing"),
        (vec![path("empty")], "holds no photograph"),
        (
            vec![path("columns.csv")],
            "no column `path` in its first line, only `id`, `file`",
        ),
        (
            vec![path("climb.csv")],
            "line 2: id `../a` cannot name a file",
        ),
        (vec![path("control.csv")], "control character"),
        (
            vec![path("no_path.csv")],
            "line 3: the column `path` is empty",
        ),
        (vec![path("none.csv")], "no rows"),
        (vec![path("latin1.csv")], "line 2 is not UTF-8"),
        (vec![path("NUL.png")], "Windows"),
        (vec![path("B.png"), path("b.jpg")], "`B` and `b`"),
        (vec![path("a.png"), path("other")], "id,path"),
    ] {
        let message = ids_of(&arguments).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn letters_composed_differently_are_twins() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["M\u{fc}ller.png", "Mu\u{308}ller.jpg"].map(|name| folder.path().join(name));
    for name in &names {
        fs::write(name, "").unwrap();
    }
    let message = ids_of(&names).unwrap_err().to_string();
    assert!(message.contains("composed"), "{message}");
}

#[test]
fn ids_of_files_keep_their_way_and_no_control_characters() {
    let id = |path: &str| ids::of_path(&Path::new(path).with_extension(""));
    assert_eq!(
        id("Besuch 2/Müller/HRF_04_g.jpg"),
        "Besuch 2__Müller__HRF_04_g"
    );
    assert_eq!(id("a\nb.png"), "a%0Ab");
    assert!(ids::problem("com10").is_none() && ids::problem("COM1.x").is_some());
}
