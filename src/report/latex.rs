//! `tables/*.tex`: tables in the style of the package `booktabs`, to be read with `\input`.

use super::table::Table;

/// A `tabular` of the table, without its caption: a paper has its own.
pub(super) fn table(table: &Table) -> String {
    let format: String = table.columns.iter().map(|column| if column.kind.is_number() { 'r' } else { 'l' }).collect();
    let line = |cells: Vec<String>| format!("{} \\\\", cells.join(" & "));
    let titles = table.columns.iter().map(|column| escaped(&column.title)).collect();
    let mut lines = vec![
        // The caption may hold names; the title does not.
        format!("% {}. Needs \\usepackage{{booktabs}}.", table.title),
        format!("\\begin{{tabular}}{{@{{}}{format}@{{}}}}"),
        "\\toprule".to_owned(),
        line(titles),
        "\\midrule".to_owned(),
    ];
    let mut before: Option<String> = None;
    for row in &table.rows {
        let cells: Vec<String> =
            row.iter().zip(&table.columns).map(|(cell, column)| escaped(&cell.shown(column.kind))).collect();
        // A thin rule where the first column begins something new, in tables that are grouped by it.
        if table.columns.first().is_some_and(|column| column.key == "subset") {
            let first = cells.first().cloned();
            if before.is_some() && before != first {
                lines.push("\\addlinespace".to_owned());
            }
            before = first;
        }
        lines.push(line(cells));
    }
    lines.extend(["\\bottomrule".to_owned(), "\\end{tabular}".to_owned()]);
    lines.join("\n") + "\n"
}

/// Text that LaTeX sets as it is.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\textbackslash{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(character);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '|' => out.push_str("$|$"),
            '"' => out.push_str("\\textquotedbl{}"),
            '\u{2212}' => out.push_str("$-$"),
            '\u{3b1}' => out.push_str("$\\alpha$"),
            '\u{3ba}' => out.push_str("$\\kappa$"),
            // A bracket right after a line's end would be its optional argument.
            '[' => out.push_str("{[}"),
            ']' => out.push_str("{]}"),
            // Two would be a dash.
            '-' if out.ends_with('-') => out.push_str("{}-"),
            '\'' => out.push_str("{'}"),
            '`' => out.push_str("{`}"),
            _ if character.is_control() => out.push(' '),
            _ => out.push(character),
        }
    }
    out
}
