"""What is wrong with a photo: noise, compression, blur, exposure, haze, rain and colour cast, without a reference.

``diagnose`` looks at one photo; ``audit`` compares a degraded photo with what its label says.
"""

from restorekit.diagnosis.audit import Audit, audit
from restorekit.diagnosis.diagnosis import Diagnosis, diagnose, take_readings

__all__ = ["Audit", "Diagnosis", "audit", "diagnose", "take_readings"]
