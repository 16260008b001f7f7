//! Source text to tokens, with Python's layout rules.

/// Longest file that is read; the programs of hundred-layer networks take a tenth.
pub(super) const MAX_SOURCE: usize = 16 << 20;
/// Deepest indentation.
const MAX_INDENTS: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
    /// Punctuation or operator.
    Mark(&'static str),
    Newline,
    Indent,
    Dedent,
    End,
}

/// A token and the line it stands on, from 1.
pub(super) type Located = (Token, u32);

const MARKS: [&str; 37] = [
    "...", "**=", "//=", "->", "==", "!=", "<=", ">=", "**", "//", "+=", "-=", "*=", "/=", "(",
    ")", "[", "]", "{", "}", ",", ":", ".", "=", "+", "-", "*", "/", "%", "<", ">", "@", "~", "&",
    "|", "^", ";",
];

/// Splits a file into tokens.
pub(super) fn tokens(source: &str) -> Result<Vec<Located>, (u32, String)> {
    if source.len() > MAX_SOURCE {
        return Err((1, format!("longer than {MAX_SOURCE} bytes")));
    }
    let mut result: Vec<Located> = Vec::new();
    let mut indents = vec![0_usize];
    // Open brackets: inside them, lines do not end.
    let mut depth = 0_usize;
    for (number, line) in source.split('\n').enumerate() {
        let number = number as u32 + 1;
        let text = line.trim_end_matches('\r');
        let body = text.trim_start_matches(' ');
        if depth == 0 {
            if body.is_empty() || body.starts_with('#') {
                continue;
            }
            let width = text.len() - body.len();
            if width > indents[indents.len() - 1] {
                if indents.len() >= MAX_INDENTS {
                    return Err((number, "is indented too deeply".into()));
                }
                indents.push(width);
                result.push((Token::Indent, number));
            }
            while width < indents[indents.len() - 1] {
                indents.pop();
                result.push((Token::Dedent, number));
            }
            if width != indents[indents.len() - 1] {
                return Err((number, "is indented inconsistently".into()));
            }
        }
        let mut rest = body;
        while let Some(first) = rest.chars().next() {
            if first == ' ' || first == '\t' {
                rest = &rest[1..];
                continue;
            }
            if first == '#' {
                break;
            }
            let (token, length) = token(rest).map_err(|reason| (number, reason))?;
            match token {
                Token::Mark("(" | "[" | "{") => depth += 1,
                Token::Mark(")" | "]" | "}") => {
                    let unmatched = || (number, "closes a bracket that is not open".to_owned());
                    depth = depth.checked_sub(1).ok_or_else(unmatched)?;
                }
                _ => {}
            }
            result.push((token, number));
            rest = &rest[length..];
        }
        if depth == 0 {
            result.push((Token::Newline, number));
        }
    }
    let last = result.last().map_or(1, |&(_, line)| line);
    for _ in 1..indents.len() {
        result.push((Token::Dedent, last));
    }
    result.push((Token::End, last));
    Ok(result)
}

/// The token at the start of the text, and its length.
fn token(text: &str) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    let first = bytes[0];
    if first.is_ascii_alphabetic() || first == b'_' {
        let length = bytes
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            .unwrap_or(bytes.len());
        return Ok((Token::Name(text[..length].to_owned()), length));
    }
    if first.is_ascii_digit() || (first == b'.' && bytes.get(1).is_some_and(u8::is_ascii_digit)) {
        return number(text);
    }
    if first == b'"' || first == b'\'' {
        return string(text);
    }
    MARKS
        .iter()
        .find(|mark| text.starts_with(**mark))
        .map(|mark| (Token::Mark(mark), mark.len()))
        .ok_or_else(|| format!("has an unexpected character {:?}", text.chars().next()))
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    let mut length = 0;
    let mut float = false;
    while let Some(&byte) = bytes.get(length) {
        let sign = matches!(byte, b'+' | b'-') && matches!(bytes[length - 1], b'e' | b'E');
        float |= matches!(byte, b'.' | b'e' | b'E');
        if !(byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E') || sign) {
            break;
        }
        length += 1;
    }
    let written = &text[..length];
    let token = if float {
        written.parse().ok().map(Token::Float)
    } else {
        written.parse().ok().map(Token::Int)
    };
    let token = token.ok_or_else(|| format!("has an unreadable number {written}"))?;
    Ok((token, length))
}

fn string(text: &str) -> Result<(Token, usize), String> {
    let quote = text.as_bytes()[0];
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes()[1..].iter().copied().enumerate().peekable();
    while let Some((position, byte)) = rest.next() {
        if byte == quote {
            let content = String::from_utf8_lossy(&bytes).into_owned();
            return Ok((Token::Text(content), position + 2));
        }
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some((_, escaped)) = rest.next() else {
            break;
        };
        match escaped {
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'r' => bytes.push(b'\r'),
            b'0'..=b'7' => {
                let mut value = u32::from(escaped - b'0');
                while let Some(&(_, digit @ b'0'..=b'7')) = rest.peek() {
                    value = (value * 8 + u32::from(digit - b'0')) & 0xff;
                    rest.next();
                }
                bytes.push(value as u8);
            }
            other => bytes.push(other),
        }
    }
    Err("has a string without an end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<Token> {
        let tokens = tokens(source).unwrap();
        tokens.into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn layout_becomes_tokens() {
        let name = |text: &str| Token::Name(text.into());
        assert_eq!(
            kinds("if a:\n  b = [1,\n   -2.5e-1]\n\n# c\nd\n"),
            [
                name("if"),
                name("a"),
                Token::Mark(":"),
                Token::Newline,
                Token::Indent,
                name("b"),
                Token::Mark("="),
                Token::Mark("["),
                Token::Int(1),
                Token::Mark(","),
                Token::Mark("-"),
                Token::Float(0.25),
                Token::Mark("]"),
                Token::Newline,
                Token::Dedent,
                name("d"),
                Token::Newline,
                Token::End,
            ]
        );
    }

    #[test]
    fn strings_unescape_and_damage_is_reported() {
        assert_eq!(kinds(r#""a\"\n\101""#)[0], Token::Text("a\"\nA".into()));
        for damaged in [
            "\"abc",
            "a\n   b\n  c",
            ")",
            "é",
            "1e",
            "99999999999999999999",
        ] {
            assert!(tokens(damaged).is_err(), "{damaged}");
        }
    }
}
