//! The field of view of a crop, from the reference's way of writing bounds down: a printed Python
//! dictionary. It is parsed, never evaluated.

/// Side of the square in which fields are described, whatever the crop's own.
const SIDE: f64 = 1024.0;
/// Brackets within brackets; bounds need four.
const DEPTH: usize = 8;

/// What is known of the field of view.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Field {
    #[default]
    Unknown,
    /// The circle that fills the crop, cut straight at left, top, right and bottom, in pixels of a crop of
    /// 1024² pixels; 0 or 1024 where it is not cut.
    Found([f32; 4]),
    NotFound,
}

/// Reads `{'hw': (h, w), 'center': (x, y), 'radius': r, 'lines': {'top': ((x, y), (x, y)), …}}`.
pub(super) fn field(text: &str) -> Field {
    let mut parser = Parser { rest: text };
    parser
        .value(0)
        .and_then(|value| cut(&value))
        .map_or(Field::Unknown, Field::Found)
}

fn cut(bounds: &Value) -> Option<[f32; 4]> {
    let [x, y] = bounds.get("center")?.pair()?.map(Value::number);
    let (centre, radius) = ([x?, y?], bounds.get("radius")?.number()?);
    if radius.is_nan() || radius <= 0.0 {
        return None;
    }
    let mut cut = [0.0, 0.0, SIDE, SIDE];
    for (side, name) in ["left", "top", "right", "bottom"].into_iter().enumerate() {
        let Some(line) = bounds.get("lines").and_then(|lines| lines.get(name)) else {
            continue;
        };
        let axis = side % 2;
        let [a, b] = line.pair()?.map(|point| {
            let [x, y] = point.pair()?.map(Value::number);
            let to_circle = |value: f64, axis: usize| (value - centre[axis]) / radius;
            Some([to_circle(x?, 0), to_circle(y?, 1)])
        });
        let Some(crossings) = crossings(a?, b?) else {
            continue; // The line passes the circle by.
        };
        let [first, second] = crossings.map(|point| (point[axis] + 1.0) * SIDE / 2.0);
        cut[side] = if side < 2 {
            first.max(second)
        } else {
            first.min(second)
        };
    }
    Some(cut.map(|value| value as f32))
}

/// Where the line through two points meets the unit circle.
fn crossings(a: [f64; 2], b: [f64; 2]) -> Option<[[f64; 2]; 2]> {
    let along = [b[0] - a[0], b[1] - a[1]];
    let square = along[0] * along[0] + along[1] * along[1];
    let half = (a[0] * along[0] + a[1] * along[1]) / square;
    let root = half * half - (a[0] * a[0] + a[1] * a[1] - 1.0) / square;
    // Also false for a line through one point twice, whose numbers are not finite.
    (root > 0.0).then(|| {
        [-half - root.sqrt(), -half + root.sqrt()]
            .map(|t| [a[0] + t * along[0], a[1] + t * along[1]])
    })
}

enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Dictionary(Vec<(Value, Value)>),
}

impl Value {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn pair(&self) -> Option<[&Self; 2]> {
        match self {
            Self::List(values) => <[&Self; 2]>::try_from(values.iter().collect::<Vec<_>>()).ok(),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&Self> {
        let Self::Dictionary(entries) = self else {
            return None;
        };
        let is_named = |key: &Self| matches!(key, Self::Text(text) if text == name);
        entries
            .iter()
            .find(|(key, _)| is_named(key))
            .map(|(_, value)| value)
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        for (open, close) in [('(', ')'), ('[', ']')] {
            if self.take(open) {
                let mut values = Vec::new();
                while !self.take(close) {
                    values.push(self.value(depth + 1)?);
                    if !self.take(',') && !self.rest.starts_with(close) {
                        return None;
                    }
                }
                return Some(Value::List(values));
            }
        }
        if self.take('{') {
            let mut entries = Vec::new();
            while !self.take('}') {
                let key = self.value(depth + 1)?;
                if !self.take(':') {
                    return None;
                }
                entries.push((key, self.value(depth + 1)?));
                if !self.take(',') && !self.rest.starts_with('}') {
                    return None;
                }
            }
            return Some(Value::Dictionary(entries));
        }
        for quote in ['\'', '"'] {
            if self.take(quote) {
                let (text, rest) = self.rest.split_once(quote)?;
                self.rest = rest;
                return Some(Value::Text(text.to_owned()));
            }
        }
        self.scalar(depth)
    }

    /// A number, or one wrapped in its type's name: `np.float64(1.5)`.
    fn scalar(&mut self, depth: usize) -> Option<Value> {
        let end = self
            .rest
            .find([',', ')', ']', '}', '(', ':', ' '])
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if let Ok(number) = word.parse::<f64>() {
            return Some(Value::Number(number));
        }
        if !self.take('(') {
            return None;
        }
        let value = self.value(depth + 1)?;
        self.take(')').then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_as_the_reference_prints_them() {
        // Numbers as retinalysis-fundusprep finds them in HRF_04_g, rounded.
        let text = "{'hw': (2336, 3504), 'center': (np.float64(1758.753), 1163.964), 'radius': \
                    np.float64(1630.6957), 'lines': {'top': ((0.0, -3.99), (3504.0, -3.99)), \
                    'bottom': ((np.float64(0.0), 2339.47), (3504.0, 2340.32))}}";
        let Field::Found([left, top, right, bottom]) = field(text) else {
            panic!("not read");
        };
        // (y − 1163.964) · 512 / 1630.6957 + 512, by hand
        assert_eq!((left, right), (0.0, 1024.0));
        assert!((top - 145.286).abs() < 0.01, "{top}");
        assert!((bottom - 881.142).abs() < 0.1, "{bottom}");
    }

    #[test]
    fn a_circle_without_lines_is_whole() {
        let text = "{'hw': (584, 565), 'center': (283.1, 299.2), 'radius': 268.2, 'lines': {}}";
        assert_eq!(field(text), Field::Found([0.0, 0.0, 1024.0, 1024.0]));
    }

    #[test]
    fn anything_else_is_unknown() {
        let deep = "(".repeat(100_000);
        for text in [
            "",
            "{}",
            "{'center': (1, 2)}",
            "{'center': (1, 2), 'radius': 0}",
            "{'center': (1, 2), 'radius': nan}",
            "{'center': (1, 2, 3), 'radius': 4}",
            "{'center': (1 2), 'radius': 4}",
            "{'center': [1, 2], 'radius'",
            "__import__('os').system('true')",
            &deep,
        ] {
            assert_eq!(field(text), Field::Unknown, "{text:.40}");
        }
    }
}
