//! The column `bounds` of bounds.csv: where a photograph shows retina.

use vascx_biomarkers::{Bounds, Line, Point};

use crate::literal::Literal;

/// Reads what retinalysis-vascx prints: a dictionary of `hw`, `center`
/// (x, y), `radius` and `lines`.
///
/// # Errors
/// What is missing or wrong.
pub(crate) fn parse_bounds(text: &str) -> Result<Bounds, String> {
    if text.trim().is_empty() {
        return Err("bounds.csv gives no bounds for it".into());
    }
    let literal = Literal::parse(text).map_err(|reason| format!("bounds.csv: {reason}"))?;
    let Literal::Dict(entries) = literal else {
        return Err("bounds.csv: the bounds are no dictionary".into());
    };
    if entries.is_empty() {
        return Err("no field of view was found in the photograph (bounds.csv: {})".into());
    }
    let entry = |name: &str| {
        entries
            .get(name)
            .ok_or_else(|| format!("bounds.csv: the bounds lack `{name}`"))
    };
    let size = pair(entry("hw")?).filter(|(height, width)| *height >= 1.0 && *width >= 1.0);
    let (height, width) = size.ok_or("bounds.csv: `hw` is no height and width")?;
    let (x, y) = pair(entry("center")?).ok_or("bounds.csv: `center` is no point")?;
    let radius = match entry("radius")? {
        Literal::Number(radius) if radius.is_finite() && *radius > 0.0 => *radius,
        _ => return Err("bounds.csv: `radius` is no positive number".into()),
    };
    let mut bounds = Bounds {
        size: (height as usize, width as usize),
        center: Point::new(y, x),
        radius,
        ..Bounds::default()
    };
    match entries.get("lines") {
        None | Some(Literal::None) => {}
        Some(Literal::Dict(lines)) => {
            bounds.top = line(lines.get("top"))?;
            bounds.bottom = line(lines.get("bottom"))?;
            bounds.left = line(lines.get("left"))?;
            bounds.right = line(lines.get("right"))?;
        }
        Some(_) => return Err("bounds.csv: `lines` is no dictionary".into()),
    }
    Ok(bounds)
}

fn line(literal: Option<&Literal>) -> Result<Option<Line>, String> {
    match literal {
        None | Some(Literal::None) => Ok(None),
        Some(Literal::List(ends)) => {
            let ends: Option<Vec<_>> = ends.iter().map(pair).collect();
            match ends.as_deref() {
                Some(&[(x0, y0), (x1, y1)]) => Ok(Some([Point::new(y0, x0), Point::new(y1, x1)])),
                _ => Err("bounds.csv: a line is not two points".into()),
            }
        }
        Some(_) => Err("bounds.csv: a line is not two points".into()),
    }
}

/// Two finite numbers.
fn pair(literal: &Literal) -> Option<(f64, f64)> {
    let Literal::List(values) = literal else {
        return None;
    };
    match values.as_slice() {
        &[Literal::Number(a), Literal::Number(b)] if a.is_finite() && b.is_finite() => Some((a, b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_both_programs_are_read() {
        let text = "{'hw': (700, 900), 'center': (np.float64(455.5), 340.25), 'radius': 402.125, \
                    'lines': {'top': [[0.0, 55.5], [899.0, np.float64(50.5)]]}}";
        let bounds = parse_bounds(text).unwrap();
        assert_eq!(bounds.size, (700, 900));
        assert_eq!(bounds.center, Point::new(340.25, 455.5));
        assert_eq!(
            bounds.top,
            Some([Point::new(55.5, 0.0), Point::new(50.5, 899.0)])
        );
        assert_eq!(bounds.left, None);
    }

    #[test]
    fn the_crop_s_borders_are_found() {
        // Numbers as retinalysis-fundusprep finds them in HRF_04_g, rounded.
        let text = "{'hw': (2336, 3504), 'center': (np.float64(1758.753), 1163.964), 'radius': \
                    np.float64(1630.6957), 'lines': {'top': ((0.0, -3.99), (3504.0, -3.99)), \
                    'bottom': ((np.float64(0.0), 2339.47), (3504.0, 2340.32))}}";
        let field = parse_bounds(text).unwrap().in_crop(1024);
        // (y − 1163.964) · 512 / 1630.6957 + 512, by hand: 145.286 and 881.142.
        assert_eq!((field.top, field.bottom), (146, 881));
        assert_eq!((field.left, field.right), (0, 1024));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("", "no bounds"),
            ("{}", "no field of view"),
            ("{'hw': (1, 2), 'center': (1, 2), 'radius': 0}", "radius"),
            ("{'hw': (1, 2), 'center': (1, nan), 'radius': 1}", "center"),
            ("{'hw': (1, 2), 'center': (1, 2)}", "lack `radius`"),
            (
                "{'hw': (1, 2), 'center': (1, 2), 'radius': 1, 'lines': {'top': [1]}}",
                "line",
            ),
        ] {
            let error = parse_bounds(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
