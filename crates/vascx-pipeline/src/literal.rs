//! Python literals as they are printed into tables: read, never evaluated.

use std::collections::BTreeMap;

/// How deeply lists may be nested.
const DEPTH: usize = 16;

/// A value that Python prints.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    None,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Literal>),
    Dict(BTreeMap<String, Literal>),
}

impl Literal {
    /// Reads one literal: a number, text, `None`, `True`, `False`, list, tuple or dictionary with
    /// text keys; numbers and lists may be wrapped, as in `np.float64(1.5)` or `array([1, 2])`.
    ///
    /// # Errors
    /// What is wrong and where.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        let literal = reader.value(0)?;
        reader.space();
        if reader.at < text.len() {
            return Err(reader.wrong("nothing more"));
        }
        Ok(literal)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, expected: &str) -> String {
        let found = self.text[self.at..].chars().next();
        let found = found.map_or("the end".to_owned(), |found| format!("`{found}`"));
        format!(
            "expected {expected} at character {}, found {found}",
            self.at + 1
        )
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The next character after spaces, left where it is.
    fn peek(&mut self) -> Option<char> {
        self.space();
        self.text[self.at..].chars().next()
    }

    /// Takes the next character if it is this one.
    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.wrong(&format!("`{wanted}`")))
        }
    }

    fn value(&mut self, depth: usize) -> Result<Literal, String> {
        if depth > DEPTH {
            return Err(format!("more than {DEPTH} brackets in one another"));
        }
        match self.peek() {
            Some('[') => self.list('[', ']', depth),
            Some('(') => self.list('(', ')', depth),
            Some('{') => self.dict(depth),
            Some(quote @ ('\'' | '"')) => self.quoted(quote).map(Literal::Text),
            Some(sign) if sign.is_ascii_digit() || matches!(sign, '+' | '-' | '.') => self.number(),
            Some(letter) if letter.is_ascii_alphabetic() => self.word(depth),
            _ => Err(self.wrong("a value")),
        }
    }

    fn list(&mut self, open: char, close: char, depth: usize) -> Result<Literal, String> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.take(close) {
            items.push(self.value(depth + 1)?);
            if !self.take(',') {
                self.expect(close)?;
                break;
            }
        }
        Ok(Literal::List(items))
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, String> {
        self.expect('{')?;
        let mut entries = BTreeMap::new();
        while !self.take('}') {
            let Some(quote @ ('\'' | '"')) = self.peek() else {
                return Err(self.wrong("a key in quotes"));
            };
            let key = self.quoted(quote)?;
            self.expect(':')?;
            entries.insert(key, self.value(depth + 1)?);
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(Literal::Dict(entries))
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        self.expect(quote)?;
        let rest = &self.text[self.at..];
        let end = rest
            .find(quote)
            .ok_or_else(|| format!("text without closing {quote}"))?;
        let content = &rest[..end];
        if content.contains('\\') {
            return Err(self.wrong("text without backslashes"));
        }
        self.at += end + 1;
        Ok(content.to_owned())
    }

    fn number(&mut self) -> Result<Literal, String> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .unwrap_or(rest.len());
        let number = rest[..end].parse().map_err(|_| self.wrong("a number"))?;
        self.at += end;
        Ok(Literal::Number(number))
    }

    /// A constant, or a number or list in the name of its type.
    fn word(&mut self, depth: usize) -> Result<Literal, String> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
            .unwrap_or(rest.len());
        let word = &rest[..end];
        let literal = match word {
            "None" => Literal::None,
            "True" => Literal::Bool(true),
            "False" => Literal::Bool(false),
            "nan" | "np.nan" => Literal::Number(f64::NAN),
            "inf" | "np.inf" => Literal::Number(f64::INFINITY),
            _ => {
                let kind = word.trim_start_matches("np.").trim_start_matches("numpy.");
                let known = ["float", "int", "uint", "array"];
                if !known.iter().any(|name| kind.starts_with(name)) {
                    return Err(self.wrong("a number, text, list or dictionary"));
                }
                self.at += end;
                self.expect('(')?;
                let value = self.value(depth + 1)?;
                // Arrays may print their type, too: `dtype=float32`.
                while self.take(',') {
                    self.space();
                    let rest = &self.text[self.at..];
                    self.at += rest.find([',', ')']).unwrap_or(rest.len());
                }
                self.expect(')')?;
                return Ok(value);
            }
        };
        self.at += end;
        Ok(literal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_dictionaries_are_read() {
        let text = "{'hw': (584, 565), 'center': (np.float64(283.5), 2.5e2,), 'radius': -1, \
                    'lines': {\"top\": array([[0., 1.], [2., 3.]], dtype=float32), 'left': None}}";
        let Literal::Dict(entries) = Literal::parse(text).unwrap() else {
            panic!("no dictionary");
        };
        let numbers = |values: &[f64]| {
            Literal::List(values.iter().map(|value| Literal::Number(*value)).collect())
        };
        assert_eq!(entries["hw"], numbers(&[584.0, 565.0]));
        assert_eq!(entries["center"], numbers(&[283.5, 250.0]));
        let Literal::Dict(lines) = &entries["lines"] else {
            panic!("no lines");
        };
        assert_eq!(
            lines["top"],
            Literal::List(vec![numbers(&[0.0, 1.0]), numbers(&[2.0, 3.0])])
        );
        assert_eq!(lines["left"], Literal::None);
    }

    #[test]
    fn programs_are_refused() {
        for text in [
            "__import__('os').system('true')",
            "{'hw': exec('1')}",
            "[1, 2",
            "{1: 2}",
            "'a' 'b'",
            "1 + 1",
            "np.float64(",
            "",
        ] {
            assert!(Literal::parse(text).is_err(), "{text}");
        }
        assert!(Literal::parse(&"[".repeat(100_000)).is_err());
    }
}
