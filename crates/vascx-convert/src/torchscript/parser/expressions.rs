//! Expressions, by the levels at which operators bind.

use super::{MAX_DEPTH, Parser, Result};
use crate::torchscript::lexer::Token;
use crate::torchscript::syntax::{Call, Expression};

impl Parser {
    /// One expression, or a tuple without parentheses. A trailing comma makes a tuple.
    pub(super) fn expression_list(&mut self) -> Result<Expression> {
        let first = self.expression()?;
        if !self.at(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.accept(",") {
            if matches!(self.peek(), Token::Newline | Token::End) || self.at("=") || self.at(":") {
                break;
            }
            items.push(self.expression()?);
        }
        Ok(Expression::Tuple(items))
    }

    pub(super) fn expression(&mut self) -> Result<Expression> {
        self.deeper(|parser| {
            let value = parser.binary(0)?;
            if !parser.accept_name("if") {
                return Ok(value);
            }
            let condition = parser.binary(0)?;
            if !parser.accept_name("else") {
                return parser.error("`else`");
            }
            let otherwise = parser.expression()?;
            Ok(Expression::Conditional(Box::new([
                condition, value, otherwise,
            ])))
        })
    }

    /// The operator at the current position, if it binds at this level (0: `or` … 5: `*`), and
    /// the number of its tokens.
    fn operator(&self, level: usize) -> Option<(&'static str, usize)> {
        let next_is = |word: &str| {
            let next = self.tokens.get(self.position + 1);
            matches!(next, Some((Token::Name(found), _)) if found == word)
        };
        let found = match self.peek() {
            Token::Name(word) => match (level, word.as_str()) {
                (0, "or") => ("or", 1),
                (1, "and") => ("and", 1),
                (3, "is") if next_is("not") => ("__isnot__", 2),
                (3, "is") => ("__is__", 1),
                (3, "in") => ("in", 1),
                (3, "not") if next_is("in") => ("not in", 2),
                _ => return None,
            },
            Token::Mark(mark) => match (level, *mark) {
                (3, "==") => ("eq", 1),
                (3, "!=") => ("ne", 1),
                (3, "<") => ("lt", 1),
                (3, "<=") => ("le", 1),
                (3, ">") => ("gt", 1),
                (3, ">=") => ("ge", 1),
                (4, "+") => ("add", 1),
                (4, "-") => ("sub", 1),
                (5, "*") => ("mul", 1),
                (5, "/") => ("div", 1),
                (5, "//") => ("floordiv", 1),
                (5, "%") => ("remainder", 1),
                (5, "@") => ("matmul", 1),
                _ => return None,
            },
            _ => return None,
        };
        Some(found)
    }

    fn binary(&mut self, level: usize) -> Result<Expression> {
        if level == 2 && self.at_name("not") {
            self.next();
            let operand = self.deeper(|parser| parser.binary(2))?;
            return Ok(Expression::Unary("__not__", Box::new(operand)));
        }
        if level == 6 {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        // Each turn makes the tree one level deeper, although the parser does not recurse.
        let mut turns = 0;
        while let Some((operator, tokens)) = self.operator(level) {
            turns += 1;
            if turns > MAX_DEPTH {
                let reason = format!("chains more than {MAX_DEPTH} operators");
                return Err((self.line(), reason));
            }
            for _ in 0..tokens {
                self.next();
            }
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression> {
        let operator = if self.accept("-") {
            "neg"
        } else if self.accept("~") {
            "bitwise_not"
        } else {
            return self.power();
        };
        let operand = self.deeper(Self::unary)?;
        Ok(match (operator, operand) {
            ("neg", Expression::Int(value)) => Expression::Int(-value),
            ("neg", Expression::Float(value)) => Expression::Float(-value),
            (operator, operand) => Expression::Unary(operator, Box::new(operand)),
        })
    }

    fn power(&mut self) -> Result<Expression> {
        let base = self.postfix()?;
        if !self.accept("**") {
            return Ok(base);
        }
        let (base, exponent) = (Box::new(base), Box::new(self.deeper(Self::unary)?));
        Ok(Expression::Binary("pow", base, exponent))
    }

    fn postfix(&mut self) -> Result<Expression> {
        let mut value = self.atom()?;
        let mut turns = 0;
        loop {
            turns += 1;
            if turns > MAX_DEPTH {
                return Err((self.line(), format!("chains more than {MAX_DEPTH} calls")));
            }
            if self.accept(".") {
                let name = self.name()?;
                value = Expression::Attribute(Box::new(value), name);
            } else if self.accept("(") {
                value = self.call(value)?;
            } else if self.accept("[") {
                let index = self.subscript()?;
                self.expect("]")?;
                value = Expression::Index(Box::new(value), Box::new(index));
            } else {
                return Ok(value);
            }
        }
    }

    /// One index, or several as types have them.
    fn subscript(&mut self) -> Result<Expression> {
        let first = self.expression()?;
        if !self.at(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.accept(",") && !self.at("]") {
            items.push(self.expression()?);
        }
        Ok(Expression::Tuple(items))
    }

    fn call(&mut self, function: Expression) -> Result<Expression> {
        let mut call = Call {
            function,
            arguments: Vec::new(),
            named: Vec::new(),
        };
        while !self.accept(")") {
            let next = self.tokens.get(self.position + 1);
            let named = matches!(self.peek(), Token::Name(_))
                && matches!(next, Some((Token::Mark("="), _)));
            if named {
                let name = self.name()?;
                self.expect("=")?;
                let value = self.expression()?;
                call.named.push((name, value));
            } else {
                call.arguments.push(self.expression()?);
            }
            if !self.accept(",") && !self.at(")") {
                return self.error("`,` or `)`");
            }
        }
        Ok(Expression::Call(Box::new(call)))
    }

    fn atom(&mut self) -> Result<Expression> {
        match self.next() {
            Token::Int(value) => Ok(Expression::Int(value)),
            Token::Float(value) => Ok(Expression::Float(value)),
            Token::Text(mut text) => {
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                Ok(Expression::Text(text))
            }
            Token::Name(name) => Ok(match name.as_str() {
                "None" => Expression::None,
                "True" => Expression::Bool(true),
                "False" => Expression::Bool(false),
                "inf" => Expression::Float(f64::INFINITY),
                "nan" => Expression::Float(f64::NAN),
                _ => Expression::Name(name),
            }),
            Token::Mark("...") => Ok(Expression::Name("...".into())),
            Token::Mark("(") => {
                let (mut items, trailing) = self.items(")")?;
                if items.len() == 1 && !trailing {
                    return Ok(items.remove(0));
                }
                Ok(Expression::Tuple(items))
            }
            Token::Mark("[") => Ok(Expression::List(self.items("]")?.0)),
            Token::Mark("{") => {
                let mut items = Vec::new();
                while !self.accept("}") {
                    let key = self.expression()?;
                    self.expect(":")?;
                    items.push((key, self.expression()?));
                    if !self.accept(",") && !self.at("}") {
                        return self.error("`,` or `}`");
                    }
                }
                Ok(Expression::Dict(items))
            }
            _ => {
                self.position = self.position.saturating_sub(1);
                self.error("an expression")
            }
        }
    }

    /// Expressions up to the closing mark, and whether a comma stood before it.
    fn items(&mut self, close: &str) -> Result<(Vec<Expression>, bool)> {
        let mut items = Vec::new();
        let mut trailing = false;
        while !self.accept(close) {
            items.push(self.expression()?);
            trailing = self.accept(",");
            if !trailing && !self.at(close) {
                return self.error(&format!("`,` or `{close}`"));
            }
        }
        Ok((items, trailing))
    }
}
