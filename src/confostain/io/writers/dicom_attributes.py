"""DICOM attributes of a stained slide (PS3.3, A.32.8: VL Whole Slide Microscopy Image).

Unknown values stay empty where the standard allows it (patient, accession number, preparation of the specimen).
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage, generate_uid
from pydicom.valuerep import DSfloat

from confostain import RESEARCH_USE
from confostain.io.writers.output import ResultImage, srgb_profile
from confostain.io.writers.pyramid import TILE, level_sizes

OPTICAL_SECTION = 5.0  # um; nominal for ex vivo confocal microscopes. The standard requires a depth other than 0
UNKNOWN = "unknown"  # where an identifier must not be empty
DIGITAL_STAINING = Code("digital-staining", "99CONFOSTAIN", "Digital staining")  # CID 7203 has no code for it


def pyramid_attributes(image: ResultImage) -> Dataset:
    """Attributes common to all levels, with new identifiers.

    Args:
        image: with a known pixel size.
    """
    now = datetime.now().astimezone()
    shared = _study_and_series(image, now)
    for part in (_equipment(image, now), _provenance(image), _specimen(image), _optical_path(), _pixels()):
        shared.update(part)
    shared.update(_whole_slide(image, now))
    return shared


def level_attributes(shared: Dataset, image: ResultImage, level: int, lengths: npt.NDArray[np.int64]) -> Dataset:
    """Attributes of the instance of one level, without its pixel data.

    Args:
        shared: result of `pyramid_attributes`.
        image: as given to `pyramid_attributes`.
        level: 0 for full resolution.
        lengths: bytes of each frame of the level, (frames,).
    """
    size = level_sizes(image.size)[level]
    dataset = Dataset()
    dataset.update(shared)
    dataset.SOPInstanceUID = _uid()
    dataset.InstanceNumber = level + 1
    dataset.ImageType = _image_type(level)
    steps = [DIGITAL_STAINING, *([codes.DCM.SpatialResampling] if level else []), codes.DCM.LossyCompression]
    dataset.DerivationCodeSequence = [_code(step) for step in steps]
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = size.width, size.height
    dataset.NumberOfFrames = len(lengths)
    dataset.LossyImageCompressionRatio = _decimal(3 * TILE**2 * len(lengths) / float(lengths.sum()))
    dataset.SharedFunctionalGroupsSequence = [_functional_groups(image, level)]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return dataset


def _study_and_series(image: ResultImage, now: datetime) -> Dataset:
    """Patient, study, series, pyramid and frame of reference."""
    return _dataset(
        SpecificCharacterSet="ISO_IR 192",  # UTF-8
        PatientName="",
        PatientID="",
        PatientBirthDate="",
        PatientSex="",
        StudyInstanceUID=_uid(),
        StudyDate=_date(now),
        StudyTime=_time(now),
        StudyID="",
        AccessionNumber="",
        ReferringPhysicianName="",
        SeriesInstanceUID=_uid(),
        SeriesNumber=1,
        SeriesDescription=_short(image.name),
        Modality="SM",
        PyramidUID=_uid(),
        FrameOfReferenceUID=_uid(),
        PositionReferenceIndicator="SLIDE_CORNER",
    )


def _equipment(image: ResultImage, now: datetime) -> Dataset:
    """Equipment: the program, since it computed the pixels. The microscope is unknown."""
    equipment = _dataset(
        Manufacturer="confostain",
        ManufacturerModelName=_short(f"confostain, model {image.provenance.get('model', 'unknown')}"),
        DeviceSerialNumber="none (software)",
        SoftwareVersions=_short(image.provenance.get("software", "confostain")),
    )
    contribution = _dataset(
        PurposeOfReferenceCodeSequence=[_code(codes.DCM.ProcessingEquipment)],
        ContributionDateTime=_date(now) + _time(now),
        ContributionDescription=_short(f"Digital staining. {RESEARCH_USE}", 1024),
    )
    contribution.update(equipment)
    equipment.ContributingEquipmentSequence = [contribution]
    return equipment


def _provenance(image: ResultImage) -> Dataset:
    """Provenance as text: the raw channels are no DICOM instances and cannot be referenced."""
    facts = image.provenance
    sources = [f"{key}: {facts[key]}." for key in ("reflectance source", "fluorescence source") if key in facts]
    label = facts.get("label", "digitally stained")
    return _dataset(
        DerivationDescription=_short(" ".join([f"{label}. {RESEARCH_USE}", *sources]), 1024),
        ImageComments=_short(image.provenance_text, 10240),
    )


def _specimen(image: ResultImage) -> Dataset:
    specimen = _dataset(
        SpecimenIdentifier=UNKNOWN,
        SpecimenUID=_uid(),
        IssuerOfTheSpecimenIdentifierSequence=[],
        SpecimenShortDescription="Tissue, confocal scan, digitally stained",
        SpecimenPreparationSequence=[],
    )
    return _dataset(
        ContainerIdentifier=UNKNOWN,
        IssuerOfTheContainerIdentifierSequence=[],
        ContainerTypeCodeSequence=[_code(codes.SCT.MicroscopeSlide)],
        SpecimenDescriptionSequence=[specimen],
        AcquisitionContextSequence=[],
    )


def _optical_path() -> Dataset:
    """Optical path: illumination of the microscope; the colour is that of bright-field light, as in the stain."""
    illumination = (codes.DCM.ReflectionIllumination, codes.DCM.EpifluorescenceIllumination)
    path = _dataset(
        OpticalPathIdentifier="1",
        OpticalPathDescription="Digitally stained: colours computed from confocal reflectance and fluorescence",
        IlluminationTypeCodeSequence=[_code(code) for code in illumination],
        IlluminationColorCodeSequence=[_code(codes.SCT.FullSpectrum)],
        ICCProfile=_input_profile(),
        ColorSpace="SRGB",
    )
    return _dataset(OpticalPathSequence=[path], NumberOfOpticalPaths=1)


def _input_profile() -> bytes:
    """ICC profile of sRGB marked as that of an input device, the only class that DICOM allows (PS3.3, C.11.15.1.1)."""
    profile = bytearray(srgb_profile())
    profile[12:16] = b"scnr"
    return bytes(profile)


def _pixels() -> Dataset:
    """The frames: JPEG with YCbCr 4:2:2, DICOM's YBR_FULL_422 (PS3.3, C.7.6.3.1.2)."""
    return _dataset(
        SOPClassUID=VLWholeSlideMicroscopyImageStorage,
        Rows=TILE,
        Columns=TILE,
        SamplesPerPixel=3,
        PhotometricInterpretation="YBR_FULL_422",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        LossyImageCompression="01",
        LossyImageCompressionMethod="ISO_10918_1",
    )


def _whole_slide(image: ResultImage, now: datetime) -> Dataset:
    """Geometry of the slide and order of its frames."""
    millimetres = _millimetres_per_pixel(image)
    x_um, y_um = image.position_um()
    # columns of pixels run along Y of the slide, rows along X: see the orientation below
    origin = _dataset(
        XOffsetInSlideCoordinateSystem=_decimal(y_um / 1000), YOffsetInSlideCoordinateSystem=_decimal(x_um / 1000)
    )
    return _dataset(
        ContentDate=_date(now),
        ContentTime=_time(now),
        AcquisitionDateTime=_date(now) + _time(now),  # of the staining: that of the scan is unknown
        TimezoneOffsetFromUTC=now.strftime("%z"),
        ImagedVolumeWidth=image.size.width * millimetres,
        ImagedVolumeHeight=image.size.height * millimetres,
        ImagedVolumeDepth=OPTICAL_SECTION,
        TotalPixelMatrixFocalPlanes=1,
        TotalPixelMatrixOriginSequence=[origin],
        ImageOrientationSlide=[0, 1, 0, 1, 0, 0],  # not mirrored, seen from above
        DimensionOrganizationType="TILED_FULL",
        DimensionOrganizationSequence=[_dataset(DimensionOrganizationUID=_uid())],
        VolumetricProperties="VOLUME",
        SpecimenLabelInImage="NO",
        BurnedInAnnotation="NO",
        FocusMethod="MANUAL",
        ExtendedDepthOfField="NO",
    )


def _functional_groups(image: ResultImage, level: int) -> Dataset:
    """Shared functional groups: attributes of all frames of a level."""
    spacing = _decimal(_millimetres_per_pixel(image) * 2**level)
    measures = _dataset(PixelSpacing=[spacing, spacing], SliceThickness=_decimal(OPTICAL_SECTION / 1000))
    return _dataset(
        PixelMeasuresSequence=[measures],
        WholeSlideMicroscopyImageFrameTypeSequence=[_dataset(FrameType=_image_type(level))],
        OpticalPathIdentificationSequence=[_dataset(OpticalPathIdentifier="1")],
    )


def _image_type(level: int) -> list[str]:
    return ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if level else "NONE"]


def _millimetres_per_pixel(image: ResultImage) -> float:
    return cast(float, image.microns_per_pixel) / 1000


def _dataset(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def _code(code: Code) -> Dataset:
    return _dataset(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)


def _uid() -> str:
    return generate_uid(prefix=None)  # 2.25 and a random UUID (PS3.5, B.2): no registered root is needed


def _short(text: str, limit: int = 64) -> str:
    """Text of at most `limit` bytes in UTF-8, cut after a whole character; no backslash, which separates values."""
    encoded = text.replace("\\", " ").encode()[:limit]
    return encoded.decode(errors="ignore").strip()


def _decimal(value: float) -> DSfloat:
    return DSfloat(value, auto_format=True)  # a decimal string has at most 16 characters


def _date(moment: datetime) -> str:
    return moment.strftime("%Y%m%d")


def _time(moment: datetime) -> str:
    return moment.strftime("%H%M%S.%f")
