/* The node maps that consumers read, in the names of the GenICam Standard Features Naming Convention (SFNC). */
#include "camera.h"

#define HEAD(model, name) \
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" \
    "<RegisterDescription ModelName=\"" model "\" VendorName=\"Linegate\" ToolTip=\"\" StandardNameSpace=\"None\" " \
    "SchemaMajorVersion=\"1\" SchemaMinorVersion=\"1\" SchemaSubMinorVersion=\"0\" MajorVersion=\"1\" MinorVersion=\"0\" " \
    "SubMinorVersion=\"0\" ProductGuid=\"6a3f0f52-54b0-4f0e-9a7e-1d5f8f1f0a10\" " \
    "VersionGuid=\"6a3f0f52-54b0-4f0e-9a7e-1d5f8f1f0a11\" xmlns=\"http://www.genicam.org/GenApi/Version_1_1\" " \
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" " \
    "xsi:schemaLocation=\"http://www.genicam.org/GenApi/Version_1_1 GenApiSchema_Version_1_1.xsd\">\n"

#define REG(name, address, access) \
    "<IntReg Name=\"" name "\"><Address>" address "</Address><Length>4</Length><AccessMode>" access "</AccessMode>" \
    "<pPort>Device</pPort><Cachable>NoCache</Cachable><Sign>Unsigned</Sign><Endianess>LittleEndian</Endianess></IntReg>\n"

#define INTEGER(name, extra) "<Integer Name=\"" name "\"><pValue>" name "Reg</pValue>" extra "</Integer>\n"

#define FLOATING(name, address, low, high, unit) \
    "<Float Name=\"" name "\"><pValue>" name "Reg</pValue><Min>" low "</Min><Max>" high "</Max><Unit>" unit "</Unit></Float>\n" \
    "<FloatReg Name=\"" name "Reg\"><Address>" address "</Address><Length>8</Length><AccessMode>RW</AccessMode>" \
    "<pPort>Device</pPort><Cachable>NoCache</Cachable><Endianess>LittleEndian</Endianess></FloatReg>\n"

#define COMMAND(name, address) \
    "<Command Name=\"" name "\"><pValue>" name "Reg</pValue><CommandValue>1</CommandValue></Command>\n" REG(name "Reg", address, "RW")

#define ENTRY(name, value) "<EnumEntry Name=\"" name "\"><Value>" value "</Value></EnumEntry>"

#define ENUMERATION(name, address, entries) \
    "<Enumeration Name=\"" name "\">" entries "<pValue>" name "Reg</pValue></Enumeration>\n" REG(name "Reg", address, "RW")

#define TEXT(name, address, access) \
    "<StringReg Name=\"" name "\"><Address>" address "</Address><Length>64</Length><AccessMode>" access "</AccessMode>" \
    "<pPort>Device</pPort></StringReg>\n"

#define CHUNK(name, id, kind) \
    "<" kind "Reg Name=\"" name "Reg\"><Address>0</Address><Length>8</Length><AccessMode>RO</AccessMode><pPort>" name \
    "Port</pPort><Cachable>NoCache</Cachable>"
#define CHUNK_INTEGER(name, id) \
    "<Integer Name=\"" name "\"><pValue>" name "Reg</pValue></Integer>\n" CHUNK(name, id, "Int") \
    "<Sign>Unsigned</Sign><Endianess>LittleEndian</Endianess></IntReg>\n<Port Name=\"" name "Port\"><ChunkID>" id "</ChunkID></Port>\n"
#define CHUNK_FLOAT(name, id) \
    "<Float Name=\"" name "\"><pValue>" name "Reg</pValue><Unit>us</Unit></Float>\n" CHUNK(name, id, "Float") \
    "<Endianess>LittleEndian</Endianess></FloatReg>\n<Port Name=\"" name "Port\"><ChunkID>" id "</ChunkID></Port>\n"

static const char DEVICE[] =
    HEAD("SimulatedCamera", "Device")
    "<Category Name=\"Root\" NameSpace=\"Standard\"><pFeature>DeviceControl</pFeature><pFeature>ImageFormatControl</pFeature>"
    "<pFeature>AcquisitionControl</pFeature><pFeature>AnalogControl</pFeature><pFeature>ChunkDataControl</pFeature>"
    "<pFeature>TransportLayerControl</pFeature><pFeature>UserSetControl</pFeature></Category>\n"
    "<Category Name=\"DeviceControl\" NameSpace=\"Standard\"><pFeature>DeviceVendorName</pFeature>"
    "<pFeature>DeviceModelName</pFeature><pFeature>DeviceSerialNumber</pFeature><pFeature>DeviceVersion</pFeature>"
    "<pFeature>DeviceUserID</pFeature><pFeature>TimestampLatch</pFeature><pFeature>TimestampLatchValue</pFeature></Category>\n"
    "<Category Name=\"ImageFormatControl\" NameSpace=\"Standard\"><pFeature>SensorWidth</pFeature><pFeature>SensorHeight</pFeature>"
    "<pFeature>Width</pFeature><pFeature>Height</pFeature><pFeature>OffsetX</pFeature><pFeature>OffsetY</pFeature>"
    "<pFeature>PixelFormat</pFeature><pFeature>TestPattern</pFeature></Category>\n"
    "<Category Name=\"AcquisitionControl\" NameSpace=\"Standard\"><pFeature>AcquisitionMode</pFeature>"
    "<pFeature>AcquisitionStart</pFeature><pFeature>AcquisitionStop</pFeature><pFeature>AcquisitionFrameRate</pFeature>"
    "<pFeature>TriggerSelector</pFeature><pFeature>TriggerMode</pFeature><pFeature>TriggerSource</pFeature>"
    "<pFeature>TriggerActivation</pFeature><pFeature>TriggerDelay</pFeature><pFeature>TriggerSoftware</pFeature>"
    "<pFeature>ExposureTime</pFeature></Category>\n"
    "<Category Name=\"AnalogControl\" NameSpace=\"Standard\"><pFeature>Gain</pFeature></Category>\n"
    "<Category Name=\"ChunkDataControl\" NameSpace=\"Standard\"><pFeature>ChunkModeActive</pFeature>"
    "<pFeature>ChunkTimestamp</pFeature><pFeature>ChunkFrameID</pFeature><pFeature>ChunkExposureTime</pFeature></Category>\n"
    "<Category Name=\"TransportLayerControl\" NameSpace=\"Standard\"><pFeature>PayloadSize</pFeature></Category>\n"
    "<Category Name=\"UserSetControl\" NameSpace=\"Standard\"><pFeature>UserSetLoad</pFeature></Category>\n"
    "<Integer Name=\"TLParamsLocked\"><Value>0</Value><Min>0</Min><Max>1</Max></Integer>\n"
    TEXT("DeviceVendorName", "0x1240", "RO") TEXT("DeviceModelName", "0x1280", "RO")
    TEXT("DeviceSerialNumber", "0x12C0", "RO") TEXT("DeviceVersion", "0x1300", "RO") TEXT("DeviceUserID", "0x1200", "RW")
    COMMAND("TimestampLatch", "0x1040")
    "<Integer Name=\"TimestampLatchValue\"><pValue>TimestampLatchValueReg</pValue><Unit>ns</Unit></Integer>\n"
    "<IntReg Name=\"TimestampLatchValueReg\"><Address>0x1120</Address><Length>8</Length><AccessMode>RO</AccessMode>"
    "<pPort>Device</pPort><Cachable>NoCache</Cachable><Sign>Unsigned</Sign><Endianess>LittleEndian</Endianess></IntReg>\n"
    INTEGER("SensorWidth", "") REG("SensorWidthReg", "0x1044", "RO")
    INTEGER("SensorHeight", "") REG("SensorHeightReg", "0x1048", "RO")
    INTEGER("Width", "<Min>16</Min><pMax>WidthMax</pMax><Inc>16</Inc>") REG("WidthReg", "0x100C", "RW")
    INTEGER("Height", "<Min>2</Min><pMax>HeightMax</pMax><Inc>2</Inc>") REG("HeightReg", "0x1010", "RW")
    "<IntSwissKnife Name=\"WidthMax\"><pVariable Name=\"S\">SensorWidth</pVariable><pVariable Name=\"O\">OffsetXReg</pVariable>"
    "<Formula>S - O</Formula></IntSwissKnife>\n"
    "<IntSwissKnife Name=\"HeightMax\"><pVariable Name=\"S\">SensorHeight</pVariable><pVariable Name=\"O\">OffsetYReg</pVariable>"
    "<Formula>S - O</Formula></IntSwissKnife>\n"
    "<IntSwissKnife Name=\"OffsetXMax\"><pVariable Name=\"S\">SensorWidth</pVariable><pVariable Name=\"W\">WidthReg</pVariable>"
    "<Formula>S - W</Formula></IntSwissKnife>\n"
    "<IntSwissKnife Name=\"OffsetYMax\"><pVariable Name=\"S\">SensorHeight</pVariable><pVariable Name=\"H\">HeightReg</pVariable>"
    "<Formula>S - H</Formula></IntSwissKnife>\n"
    INTEGER("OffsetX", "<Min>0</Min><pMax>OffsetXMax</pMax><Inc>16</Inc>") REG("OffsetXReg", "0x1014", "RW")
    INTEGER("OffsetY", "<Min>0</Min><pMax>OffsetYMax</pMax><Inc>2</Inc>") REG("OffsetYReg", "0x1018", "RW")
    ENUMERATION("PixelFormat", "0x101C",
                ENTRY("Mono8", "0x01080001") ENTRY("Mono10", "0x01100003") ENTRY("Mono12", "0x01100005")
                ENTRY("Mono16", "0x01100007") ENTRY("Mono12p", "0x010C0047") ENTRY("BayerRG8", "0x01080009")
                ENTRY("RGB8", "0x02180014"))
    ENUMERATION("TestPattern", "0x1034", ENTRY("Off", "0") ENTRY("GreyDiagonalRamp", "1") ENTRY("FrameCounter", "2"))
    ENUMERATION("AcquisitionMode", "0x1008", ENTRY("Continuous", "0") ENTRY("SingleFrame", "1"))
    COMMAND("AcquisitionStart", "0x1000") COMMAND("AcquisitionStop", "0x1004")
    FLOATING("AcquisitionFrameRate", "0x1110", "0.1", "1000", "Hz")
    ENUMERATION("TriggerSelector", "0x1054", ENTRY("FrameStart", "0"))
    ENUMERATION("TriggerMode", "0x1024", ENTRY("Off", "0") ENTRY("On", "1"))
    ENUMERATION("TriggerSource", "0x1028", ENTRY("Software", "0") ENTRY("Line0", "1"))
    ENUMERATION("TriggerActivation", "0x102C", ENTRY("RisingEdge", "0"))
    FLOATING("TriggerDelay", "0x1118", "0", "1000000", "us")
    COMMAND("TriggerSoftware", "0x1030")
    FLOATING("ExposureTime", "0x1100", "10", "1000000", "us")
    FLOATING("Gain", "0x1108", "0", "24", "dB")
    "<Boolean Name=\"ChunkModeActive\"><pValue>ChunkModeActiveReg</pValue><OnValue>1</OnValue><OffValue>0</OffValue></Boolean>\n"
    REG("ChunkModeActiveReg", "0x1038", "RW")
    CHUNK_INTEGER("ChunkTimestamp", "1001") CHUNK_INTEGER("ChunkFrameID", "1002") CHUNK_FLOAT("ChunkExposureTime", "1003")
    INTEGER("PayloadSize", "") REG("PayloadSizeReg", "0x103C", "RO")
    COMMAND("UserSetLoad", "0x1050")
    "<Port Name=\"Device\" NameSpace=\"Standard\"/>\n"
    "</RegisterDescription>\n";

static const char MODULE[] =
    HEAD("SimulatedModule", "Port") "<Category Name=\"Root\" NameSpace=\"Standard\"/>\n"
    "<Port Name=\"Device\" NameSpace=\"Standard\"/>\n</RegisterDescription>\n";

const char *device_xml(void) { return DEVICE; }
const char *module_xml(void) { return MODULE; }
