//! Folders and lists as people have them.

mod harness;

use harness::{Run, Workspace, fixture};

/// A workspace with photographs at these paths.
fn with_photographs(names: &[&str]) -> Workspace {
    let workspace = Workspace::new();
    let picture =
        image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, 40]));
    for name in names {
        let path = workspace.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture
            .write_to(
                &mut std::fs::File::create(path).unwrap(),
                image::ImageFormat::Png,
            )
            .unwrap();
    }
    workspace
}

fn preprocess(workspace: &Workspace, code: i32, arguments: &[&str]) -> Run {
    let mut all = vec![
        "preprocess",
        "--mode",
        "resize",
        "--size",
        "16",
        "--out",
        "out",
    ];
    all.extend(arguments);
    workspace.vascx(code, &all)
}

#[test]
fn what_a_folder_holds_beside_photographs_is_counted_and_said() {
    let workspace = with_photographs(&[
        "photos/a.png",
        "photos/without_extension",
        "photos/.hidden.png",
        "photos/Besuch 2/Müller.png",
        "photos/Thumbs.db",
    ]);
    let jpeg = std::fs::read(fixture("jpeg/mpo.jpg")).unwrap();
    for (name, content) in [
        ("stereo.mpo", &jpeg[..]),
        ("old.jfif", &jpeg[..]),
        ("._a.png", b"\0\x05\x16\x07"),
        ("moving.gif", b"GIF89a"),
        ("notes.txt", b"notes"),
        ("iphone.HEIC", b"\0\0\0\x18ftypheic"),
    ] {
        std::fs::write(workspace.path("photos").join(name), content).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", workspace.path("photos/gone.jpg")).unwrap();
    let run = preprocess(&workspace, 0, &["photos"]);
    let expected = ["a.png", "old.png", "stereo.png", "without_extension.png"];
    assert_eq!(workspace.list("out/rgb"), expected);
    run.error_names(&[
        "1 subfolder (not searched)",
        "hint: --recursive",
        "3 hidden files",
        "3 other files",
        "1 .gif",
        "1 .heic",
        "1 .txt",
    ]);
    #[cfg(unix)]
    run.error_names(&["1 broken link"]);
}

#[test]
fn subfolders_are_taken_when_asked_for() {
    let workspace = with_photographs(&["c/Besuch 1/a.png", "c/Besuch 2/a.png", "c/.cache/a.png"]);
    let refused = preprocess(&workspace, 2, &["c"]);
    refused.error_names(&["holds no photograph", "2 subfolders", "hint: --recursive"]);
    // Results of an earlier run are no photographs.
    std::fs::create_dir(workspace.path("c/results")).unwrap();
    for name in ["run.json", "journal.jsonl"] {
        std::fs::write(workspace.path("c/results").join(name), "{}").unwrap();
    }
    std::fs::copy(
        workspace.path("c/Besuch 1/a.png"),
        workspace.path("c/results/a.png"),
    )
    .unwrap();
    let run = preprocess(&workspace, 0, &["--recursive", "c"]);
    run.error_names(&["1 folder of results", "1 hidden"]);
    assert_eq!(
        workspace.list("out/rgb"),
        ["Besuch 1__a.png", "Besuch 2__a.png"]
    );
    // Those of this command are known, too.
    std::fs::rename(workspace.path("out"), workspace.path("c/squares")).unwrap();
    let run = preprocess(&workspace, 0, &["--recursive", "c"]);
    run.error_names(&["2 folders of results"]);
    assert_eq!(
        workspace.list("out/rgb"),
        ["Besuch 1__a.png", "Besuch 2__a.png"]
    );
}

#[cfg(unix)]
#[test]
fn a_subfolder_that_may_not_be_opened_is_left_out_and_said() {
    use std::os::unix::fs::PermissionsExt;

    let workspace = with_photographs(&["disk/a.png", "disk/lost+found/b.png"]);
    let closed = workspace.path("disk/lost+found");
    let allow = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&closed, permissions).unwrap();
    };
    allow(0o000);
    if std::fs::read_dir(&closed).is_ok() {
        allow(0o755);
        return eprintln!("skipped: this user may open every folder");
    }
    let run = preprocess(&workspace, 0, &["--recursive", "disk"]);
    allow(0o755);
    run.error_names(&["1 folder that may not be opened"]);
    assert_eq!(workspace.list("out/rgb"), ["a.png"]);
}

#[test]
fn lists_are_read_as_spreadsheets_write_them() {
    let utf16 = |text: &str, big: bool| -> Vec<u8> {
        let words = format!("\u{feff}{text}").encode_utf16().collect::<Vec<_>>();
        let bytes = words.iter().map(|word| {
            if big {
                word.to_be_bytes()
            } else {
                word.to_le_bytes()
            }
        });
        bytes.flatten().collect()
    };
    let lists: [(&str, Vec<u8>, &str); 12] = [
        (
            "comma.csv",
            b"id,path\nx,imgs/M\xc3\xbcller.png\n".to_vec(),
            "x.png",
        ),
        (
            "semicolon.csv",
            b"id;path\r\nx;imgs/a.png\r\n".to_vec(),
            "x.png",
        ),
        ("tab.tsv", b"id\tpath\nx\timgs/a.png\n".to_vec(), "x.png"),
        (
            "separator.csv",
            b"sep=;\r\nid;path\r\nx;imgs/a.png\r\n".to_vec(),
            "x.png",
        ),
        (
            "mark.csv",
            b"\xef\xbb\xbfid,path\nx,imgs/a.png\n".to_vec(),
            "x.png",
        ),
        (
            "little.csv",
            utf16("id\tpath\r\nx\timgs/a.png\r\n", false),
            "x.png",
        ),
        ("big.csv", utf16("id,path\nx,imgs/a.png\n", true), "x.png"),
        ("capitals.csv", b"ID,Path\nx,imgs/a.png\n".to_vec(), "x.png"),
        ("path.csv", b"path\nimgs/a.png\n".to_vec(), "a.png"),
        (
            "rows.csv",
            b"id,path,eye\nx,imgs/a.png\n,,\n\n".to_vec(),
            "x.png",
        ),
        ("windows.csv", b"id,path\nx,imgs\\a.png\n".to_vec(), "x.png"),
        ("list.txt", b"path\nimgs/a.png\n".to_vec(), "a.png"),
    ];
    for (name, content, output) in lists {
        // Paths are relative to the list, not to the folder in which the command runs.
        let workspace = with_photographs(&["lists/imgs/a.png", "lists/imgs/Müller.png"]);
        let list = format!("lists/{name}");
        std::fs::write(workspace.path(&list), content).unwrap();
        preprocess(&workspace, 0, &[&list]);
        assert_eq!(workspace.list("out/rgb"), [output], "{name}");
    }
}

#[test]
fn the_manifest_of_an_earlier_run_is_a_list() {
    let workspace = with_photographs(&["photos/a.png", "photos/Müller 2.png"]);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        // Written as URI, whose first letters are no relative path.
        let name = std::ffi::OsStr::from_bytes(b"photos/100% M\xfcller.png");
        std::fs::copy(
            workspace.path("photos/a.png"),
            workspace.path("").join(name),
        )
        .unwrap();
    }
    preprocess(&workspace, 0, &["photos"]);
    std::fs::rename(workspace.path("out"), workspace.path("first")).unwrap();
    preprocess(&workspace, 0, &["first/manifest.csv"]);
    assert_eq!(workspace.list("out/rgb"), workspace.list("first/rgb"));
    let count = if cfg!(target_os = "linux") { 3 } else { 2 };
    assert_eq!(workspace.list("out/rgb").len(), count);
}

#[test]
fn lists_that_cannot_be_read_name_the_row_and_the_remedy() {
    for (content, parts) in [
        (
            &b"id,path\nx,M\xfcller.png\n"[..],
            &["line 2", "Latin-1", "UTF-8"][..],
        ),
        (
            b"id;file\nx;a\n",
            &["no column `path`", "`id`, `file`", "id,path"],
        ),
        (b"id,path\nx,\n", &["line 2", "`path` is empty"]),
        (b"id,path\nCON,a.png\n", &["line 2", "CON", "Windows"]),
        (
            b"id,path\n\"a\x1b[2J\",a.png\n",
            &["line 2", "control character", "\\u{1b}"],
        ),
        (b"id,path\n../a,a.png\n", &["line 2", "cannot name a file"]),
    ] {
        let workspace = Workspace::new();
        std::fs::write(workspace.path("list.csv"), content).unwrap();
        let run = preprocess(&workspace, 2, &["list.csv"]);
        run.error_names(&["list.csv"]).error_names(parts);
        assert!(!run.stderr.contains('\x1b'));
        assert!(!workspace.path("out").exists());
    }
}

#[test]
fn ids_that_are_one_file_elsewhere_are_refused() {
    let workspace = with_photographs(&["one/A.png", "two/a.png"]);
    let list = "id,path\nA,one/A.png\na,two/a.png\n";
    std::fs::write(workspace.path("list.csv"), list).unwrap();
    preprocess(&workspace, 2, &["list.csv"]).error_names(&["`A` and `a`", "capitals", "id,path"]);
    let list = "id,path\nM\u{fc}ller,one/A.png\nMu\u{308}ller,two/a.png\n";
    std::fs::write(workspace.path("list.csv"), list).unwrap();
    preprocess(&workspace, 2, &["list.csv"]).error_names(&["composed", "id,path"]);
}

/// What a newcomer has: a stick from a Mac, visits in subfolders, umlauts, a broken picture, a folder
/// of a DICOM disc. The command is that of the README.
#[test]
fn every_readable_photograph_of_a_mixed_folder_is_done_and_the_rest_explained() {
    let workspace = with_photographs(&["Bilder/Müller, Jürgen.png", "Bilder/Besuch 2/links.png"]);
    let whole = std::fs::read(fixture("jpeg/baseline_420_odd.jpg")).unwrap();
    let tiff = std::fs::read(fixture("tiff/jpeg_420_tiles.tif")).unwrap();
    let dicom = std::fs::read(fixture("dicom/jpeg_ybr.dcm")).unwrap();
    std::fs::create_dir(workspace.path("Bilder/DICOM")).unwrap();
    for (name, content) in [
        ("rechts.JPG", &whole[..]),
        ("kaputt.jpg", &whole[..whole.len() / 3]),
        ("scan.tif", &tiff[..]),
        ("DICOM/IM0001", &dicom[..]),
        ("DICOM/DICOMDIR", &dicom[..]),
        ("._rechts.JPG", b"\0\x05\x16\x07\0\x02\0\0"),
        (".DS_Store", b"\0\0\0\x01Bud1"),
        ("Liste.xlsx", b"PK\x03\x04"),
    ] {
        std::fs::write(workspace.path("Bilder").join(name), content).unwrap();
    }
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/demo/disc.pt");
    let arguments = [
        "predict",
        "--model",
        model.to_str().unwrap(),
        "--out",
        "results",
        "--overlay",
        "--recursive",
        "--device",
        *harness::DEVICE,
        "Bilder/",
    ];
    let run = workspace.vascx(1, &arguments);
    let expected = [
        "Besuch 2__links.png",
        "DICOM__IM0001.png",
        "Müller, Jürgen.png",
        "rechts.png",
        "scan.png",
    ];
    assert_eq!(workspace.list("results/overlays"), expected);
    let results = workspace.list("results");
    assert!(
        expected
            .iter()
            .all(|name| results.iter().any(|found| found == name))
    );
    run.error_names(&["kaputt.jpg", "cut short", "not for clinical use"]);
    run.error_names(&["2 hidden files", "1 .xlsx", "1 without extension"]);
    assert!(run.stdout.contains("5 done, 1 failed"), "{}", run.stdout);
    let record = std::fs::read_to_string(workspace.path("results/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["left_out"]["hidden"], 2);
    let manifest = std::fs::read_to_string(workspace.path("results/manifest.csv")).unwrap();
    assert_eq!(manifest.lines().count(), 7, "{manifest}");
    assert!(
        manifest
            .lines()
            .any(|row| row.starts_with("kaputt,") && row.contains("cut short"))
    );
}
