//! Descriptions in older versions of the format.

use serde_json::{Value, json};

use super::{FORMAT_VERSION, InferenceSettings, Normalisation};

/// The description in today's version.
///
/// # Errors
/// When its version is not known.
pub(super) fn upgrade(mut manifest: Value) -> Result<Value, String> {
    let version = manifest.get("format_version").and_then(Value::as_u64);
    match version {
        Some(version) if version == u64::from(FORMAT_VERSION) => Ok(manifest),
        Some(1) => {
            upgrade_from_1(&mut manifest).ok_or("it is not complete")?;
            Ok(manifest)
        }
        Some(version) if version > u64::from(FORMAT_VERSION) => Err(format!(
            "format version {version} is newer than {FORMAT_VERSION}, the newest that this version \
             of vascx knows; update vascx"
        )),
        _ => Err("it has no known format version".into()),
    }
}

/// Version 1 knew no halo, no other transform and no other divisor than 255; where it had no
/// normalisation, grey levels became 0…1.
fn upgrade_from_1(manifest: &mut Value) -> Option<()> {
    manifest["format_version"] = FORMAT_VERSION.into();
    let preprocessing = manifest.get_mut("preprocessing")?.as_object_mut()?;
    preprocessing.insert("transform".into(), "fundus".into());
    let normalisation = preprocessing.get_mut("normalisation")?;
    if normalisation.is_null() {
        *normalisation = json!(Normalisation::ZERO_ONE);
    } else {
        let normalisation = normalisation.as_object_mut()?;
        normalisation.insert("divisor".into(), 255.0.into());
    }
    let inference = manifest.get_mut("inference")?.as_object_mut()?;
    inference.insert("halo".into(), 0.into());
    let sigma = InferenceSettings::RELATIVE_SIGMA;
    inference.insert("relative_sigma".into(), sigma.into());
    inference.insert("normalised_keypoints".into(), true.into());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_refused_in_words() {
        let message = |manifest| upgrade(manifest).unwrap_err();
        let newer = message(json!({"format_version": 3}));
        assert!(newer.contains("update vascx"), "{newer}");
        for foreign in [json!({}), json!([]), json!(1), json!({"format_version": 0})] {
            assert!(message(foreign).contains("format version"));
        }
        for cut in [
            json!({"format_version": 1}),
            json!({"format_version": 1, "preprocessing": {"normalisation": 3}}),
        ] {
            assert!(message(cut).contains("not complete"));
        }
    }
}
