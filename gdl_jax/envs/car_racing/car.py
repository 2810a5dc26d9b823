"""The car of gymnasium's CarRacing-v3 as one rigid body on four wheels that slip.

In gymnasium, Box2D joins a hull and four wheel bodies by motorised hinges and solves for the forces between them. The
hinges are stiff, so hull and wheels move as one body here, and only the hinge angles are separate. Units are
gymnasium's; a car faces (-sin angle, cos angle); wheels are front left, front right, rear left, rear right.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

FPS = 50
DT = 1.0 / FPS
SIZE = 0.02
ENGINE_POWER = 1e8 * SIZE**2
WHEEL_MOMENT = 4000 * SIZE**2  # moment of inertia of a rolling wheel, set independently of its mass
ROAD_FRICTION = 1e6 * SIZE**2  # largest force that a wheel can transmit
GRASS_FRICTION = 0.6 * ROAD_FRICTION
STIFFNESS = 205000 * SIZE**2  # force per slip velocity
BRAKE = 15.0  # radians/s by which a full brake slows a wheel in each step
GAS_RISE = 0.1  # largest increase of gas per step
WHEEL_HALF_SIZE = (14 * SIZE, 27 * SIZE)  # across and along; the latter is the radius
WHEEL_X = SIZE * np.array([-55.0, 55.0, -55.0, 55.0], np.float32)  # from the hull's origin
WHEEL_Y = SIZE * np.array([80.0, 80.0, -82.0, -82.0], np.float32)
FRONT = np.array([1.0, 1.0, 0.0, 0.0], np.float32)
REAR = 1.0 - FRONT
HINGE_SPEED, HINGE_GAIN = 3.0, 50.0  # radians/s; 1/s
HINGE_LIMIT = 0.4  # radians
HINGE_SLOP = 2 * np.pi / 180  # by which Box2D allows a hinge to exceed its limit
# Box2D moves no body by more than 2 per step. It limits hull and wheels separately, which turns the car; here the whole
# car is limited, so a car that spins at this speed (after two seconds of full gas straight ahead) moves differently.
MAX_SPEED = 2.0 * FPS
# Masses that Box2D computes from the hull's four polygons (density 1) and a wheel's rectangle (density 0.1).
HULL_MASS, HULL_CENTRE_Y, HULL_INERTIA = 7.06, -0.0825, 18.2604  # the inertia is about the hull's origin
WHEEL_MASS = 0.1 * 4 * WHEEL_HALF_SIZE[0] * WHEEL_HALF_SIZE[1]
WHEEL_INERTIA = WHEEL_MASS * (WHEEL_HALF_SIZE[0] ** 2 + WHEEL_HALF_SIZE[1] ** 2) / 3

MASS = HULL_MASS + 4 * WHEEL_MASS
CENTRE_Y = (HULL_MASS * HULL_CENTRE_Y + WHEEL_MASS * float(WHEEL_Y.sum())) / MASS  # from the hull's origin; x is 0
WHEEL_SPREAD = float((WHEEL_X**2 + WHEEL_Y**2).sum())
INERTIA = HULL_INERTIA + WHEEL_MASS * WHEEL_SPREAD + 4 * WHEEL_INERTIA - MASS * CENTRE_Y**2  # about the centre of mass
ARM_X, ARM_Y = WHEEL_X, WHEEL_Y - CENTRE_Y


@struct.dataclass
class Car:
    """State of a car.

    Attributes:
      position: (2,), of the centre of mass of hull and wheels; `hull_position` is gymnasium's `hull.position`.
      angle: (), radians.
      velocity: (2,), of the centre of mass.
      spin: (), radians/s.
      wheel_omega: (4,), angular velocities of the wheels, radians/s.
      wheel_phase: (4,), their integrals, radians.
      joint_angle: (4,), of the wheels relative to the hull, radians, positive to the left.
      gas: (), gas at the rear wheels, 0 to 1.
    """

    position: jax.Array
    angle: jax.Array
    velocity: jax.Array
    spin: jax.Array
    wheel_omega: jax.Array
    wheel_phase: jax.Array
    joint_angle: jax.Array
    gas: jax.Array


def _rotate(angle: jax.Array, x, y):
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return cos * x - sin * y, sin * x + cos * y


def hull_position(car: Car) -> jax.Array:
    """Returns the hull's origin (2,), half-way between the left and right wheels, and nearly so between the axles."""
    return car.position - CENTRE_Y * jnp.stack([-jnp.sin(car.angle), jnp.cos(car.angle)])


def hull_velocity(car: Car) -> jax.Array:
    """Returns the velocity (2,) of the hull's own centre of mass: gymnasium's `hull.linearVelocity`."""
    arm = HULL_CENTRE_Y - CENTRE_Y
    return car.velocity - car.spin * arm * jnp.stack([jnp.cos(car.angle), jnp.sin(car.angle)])


def wheel_positions(car: Car) -> tuple[jax.Array, jax.Array]:
    """Returns x and y of the wheels' centres, both (4,)."""
    x, y = _rotate(car.angle, ARM_X, ARM_Y)
    return car.position[0] + x, car.position[1] + y


def place_car(position: jax.Array, angle: jax.Array) -> Car:
    """Returns a car at rest as after gymnasium's `reset`, with the hull's origin at `position` (2,) and `angle` ().

    gymnasium places the wheels as if the angle were 0, and Box2D then pulls them to their hinges. This moves no centre
    of mass and turns no wheel, but its torque turns the hull. With k the wheels' share in the moment of inertia, the
    hull turns by -delta, where delta (1 + k (1 + cos angle) / 2) = k sin angle.
    """
    share = WHEEL_MASS * WHEEL_SPREAD / (HULL_INERTIA - HULL_MASS * HULL_CENTRE_Y**2)
    turn = -share * jnp.sin(angle) / (1 + 0.5 * share * (1 + jnp.cos(angle)))
    x, y = _rotate(angle, 0.0, HULL_MASS * HULL_CENTRE_Y / MASS)
    centre = position + jnp.stack([x, y + WHEEL_MASS * float(WHEEL_Y.sum()) / MASS])
    rest, hinges = jnp.zeros(()), jnp.full((4,), -turn)
    return Car(centre, angle + turn, jnp.zeros(2), rest, jnp.zeros(4), jnp.zeros(4), hinges, rest)


def _turn_hinges(angle: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the hinge angles (4,) after a step of their motors towards `target` (4,)."""
    error = target - angle
    move = DT * jnp.sign(error) * jnp.minimum(HINGE_GAIN * jnp.abs(error), HINGE_SPEED)
    # Box2D checks the limit before the step: a hinge within it may cross it, one beyond it may only return.
    above, below = angle >= HINGE_LIMIT, angle <= -HINGE_LIMIT
    move = jnp.where(above, jnp.minimum(move, 0.0), jnp.where(below, jnp.maximum(move, 0.0), move))
    beyond = HINGE_LIMIT + HINGE_SLOP
    return jnp.clip(angle + move, jnp.where(below, -beyond, -jnp.inf), jnp.where(above, beyond, jnp.inf))


def step_car(car: Car, action: jax.Array, friction_limit: jax.Array) -> Car:
    """Advances a car by 1/50 s.

    Args:
      action: (3,), steering (-1 full left, 1 full right), gas (0 to 1, clipped) and brake (wheels lock from 0.9 on).
      friction_limit: (4,), largest force that each wheel can transmit: ROAD_FRICTION or GRASS_FRICTION.
    """
    steer, gas, brake = action[0], action[1], action[2]
    gas = car.gas + jnp.minimum(jnp.clip(gas, 0.0, 1.0) - car.gas, GAS_RISE)
    omega = car.wheel_omega
    omega += DT * ENGINE_POWER / WHEEL_MOMENT * gas * REAR / (jnp.abs(omega) + 5.0)
    braked = omega - jnp.sign(omega) * jnp.minimum(BRAKE * jnp.maximum(brake, 0.0), jnp.abs(omega))
    omega = jnp.where(brake >= 0.9, 0.0, braked)
    phase = car.wheel_phase + DT * omega

    # Box2D computed the wheels' velocities from their positions before its last step moved them.
    x, y = _rotate(car.angle - DT * car.spin, ARM_X, ARM_Y)
    velocity_x, velocity_y = car.velocity[0] - car.spin * y, car.velocity[1] + car.spin * x
    cos, sin = jnp.cos(car.angle + car.joint_angle), jnp.sin(car.angle + car.joint_angle)
    radius = WHEEL_HALF_SIZE[1]
    along = STIFFNESS * (omega * radius + sin * velocity_x - cos * velocity_y)
    across = -STIFFNESS * (cos * velocity_x + sin * velocity_y)
    grip = jnp.minimum(1.0, friction_limit * jax.lax.rsqrt(jnp.maximum(along**2 + across**2, 1.0)))
    along, across = grip * along, grip * across
    omega -= DT * radius / WHEEL_MOMENT * along

    force_x, force_y = across * cos - along * sin, across * sin + along * cos
    x, y = _rotate(car.angle, ARM_X, ARM_Y)
    velocity = car.velocity + DT / MASS * jnp.stack([force_x.sum(), force_y.sum()])
    velocity *= jnp.minimum(1.0, MAX_SPEED * jax.lax.rsqrt(jnp.maximum(jnp.square(velocity).sum(), 1.0)))
    spin = car.spin + DT / INERTIA * (x * force_y - y * force_x).sum()
    return Car(
        position=car.position + DT * velocity,
        angle=car.angle + DT * spin,
        velocity=velocity,
        spin=spin,
        wheel_omega=omega,
        wheel_phase=phase,
        joint_angle=_turn_hinges(car.joint_angle, -steer * FRONT),
        gas=gas,
    )
