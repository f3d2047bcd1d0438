//! Register files: csr.json of LiteX, CMSIS-SVD and IP-XACT, told apart by how they begin.

#[cfg(feature = "import")]
mod blocks;
#[cfg(feature = "import")]
mod body;
#[cfg(feature = "import")]
mod csr;
#[cfg(feature = "import")]
mod effects;
#[cfg(feature = "import")]
mod ipxact;
#[cfg(feature = "import")]
mod numbers;
mod refused;
#[cfg(feature = "import")]
mod svd;
#[cfg(feature = "import")]
mod xml;

#[cfg(feature = "import")]
use blocks::Blocks;
use refused::Refused;

use crate::found::RegisterFile;

/// The formats of register files.
#[cfg(feature = "import")]
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Format {
    /// `csr.json` of LiteX.
    CsrJson,
    /// CMSIS-SVD.
    Svd,
    /// IP-XACT.
    IpXact,
}

/// Reads the registers of a file, or those of one of its blocks, and tells its format.
#[cfg(feature = "import")]
pub(crate) fn parse(text: &str, block: Option<&str>) -> Result<(Format, RegisterFile), Refused> {
    let text = text.trim_start_matches('\u{feff}');
    let (format, blocks) = match text.trim_start().chars().next() {
        Some('{') => (Format::CsrJson, csr::read(text)?),
        Some('<') => of_xml(text)?,
        _ => {
            let why = "it begins with neither { nor <: a register file is csr.json, CMSIS-SVD or IP-XACT, which `peakrdl ip-xact` makes of \
                 SystemRDL";
            return Err(Refused::new(Some((1, 1)), why));
        }
    };
    Ok((format, blocks.select(block)?))
}

/// Reads XML, in the format that its root names.
#[cfg(feature = "import")]
fn of_xml(text: &str) -> Result<(Format, Blocks), Refused> {
    let document = xml::parse(text)?;
    let root = document.root_element();
    match root.tag_name().name() {
        "device" => Ok((Format::Svd, svd::read(root)?)),
        "component" => Ok((Format::IpXact, ipxact::read(root)?)),
        other => Err(xml::wrong(
            root,
            format!(
                "<{other}> begins no register file: CMSIS-SVD begins with <device>, IP-XACT with <component>"
            ),
        )),
    }
}

/// Reads the registers of a file, or those of one of its blocks.
#[cfg(feature = "import")]
pub(crate) fn registers(text: &str, block: Option<&str>) -> Result<RegisterFile, Refused> {
    parse(text, block).map(|(_, registers)| registers)
}

/// Refuses every register file.
#[cfg(not(feature = "import"))]
pub(crate) fn registers(_: &str, _: Option<&str>) -> Result<RegisterFile, Refused> {
    let why = "this program was built without readers of register files: hwpool-describe has them with its feature `import`";
    Err(Refused::new(None, why))
}
