"""SQLAlchemy with PyMySQL as an application: see ../doc.go for what each program does."""
import datetime
import decimal
import os
import sys
import time

from sqlalchemy import Column, Integer, LargeBinary, Numeric, String, Text, create_engine, func, select, update
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, declarative_base

Base = declarative_base()


class Item(Base):
    __tablename__ = "items"
    __table_args__ = {"mysql_charset": "utf8mb4"}
    id = Column(Integer, primary_key=True)
    name = Column(String(100), nullable=False, unique=True)
    price = Column(Numeric(20, 4))
    made = Column(DATETIME(fsp=3))
    data = Column(LargeBinary)
    note = Column(Text)


class Work(Base):
    __tablename__ = "work"
    id = Column(Integer, primary_key=True, autoincrement=False)


class Tally(Base):
    __tablename__ = "tally"
    id = Column(Integer, primary_key=True)
    n = Column(Integer)


def connect(address):
    url = f"mysql+pymysql://app:app@{address}/{os.environ['NEXUS_DATABASE']}?charset=utf8mb4"
    return create_engine(url, future=True, pool_pre_ping=True, connect_args={"connect_timeout": 2, "read_timeout": 10})


def count(session, name):
    print(f"{name}={session.scalar(select(func.count()).select_from(Item))}")


def features():
    engine = connect(f"{os.environ['NEXUS_HOST']}:{os.environ['NEXUS_PORT']}")
    for _ in range(2):  # the second finds nothing to do
        Base.metadata.create_all(engine, tables=[Item.__table__])
    with Session(engine) as session:
        item = Item(name="naïve 😀 it's", price=decimal.Decimal("1234567890123456.7891"),
                    made=datetime.datetime(2024, 2, 29, 12, 34, 56, 123000), data=b"\x00\xff'\\\n")
        session.add(item)
        session.commit()
        print(f"id={item.id}")
        session.expire_all()
        print(f"name={item.name}\nprice={item.price}\nmade={item.made.isoformat(' ', 'milliseconds')}")
        print(f"data={item.data.hex()}\nnote={item.note or 'null'}")
        print(f"updated={session.execute(update(Item).where(Item.id == 1).values(note='sold')).rowcount}")
        session.commit()

        session.add_all([Item(name="second"), Item(name="third")])
        session.commit()
        count(session, "committed")
        session.add(Item(name="never"))
        session.flush()
        session.rollback()
        count(session, "rolledback")
        session.add(Item(name="fourth"))
        inner = session.begin_nested()
        session.add(Item(name="never"))
        session.flush()
        inner.rollback()
        session.commit()
        count(session, "savepoint")
        session.add(Item(name="second"))
        try:
            session.commit()
        except IntegrityError as e:
            session.rollback()
            print(f"duplicate={e.orig.args[0]}")
        names = session.scalars(select(Item.name).where(Item.id > 1, Item.name != "third").order_by(Item.name))
        print("selected=" + ",".join(names))
        session.delete(session.scalar(select(Item).where(Item.name == "fourth")))
        session.commit()
        count(session, "left")


def unit(engine, i):
    with Session(engine) as session, session.begin():
        session.add(Work(id=i))
        session.flush()
        session.execute(update(Tally).where(Tally.id == 1).values(n=Tally.n + 1))


def is_there(engine, i):
    with Session(engine) as session:
        return session.get(Work, i) is not None


def work():
    engines = [connect(a) for a in os.environ["NEXUS_ADDRESSES"].split(",")]
    at = 0
    for i in range(1, int(os.environ["NEXUS_COUNT"]) + 1):
        there = False
        while not there:
            try:
                unit(engines[at], i)
                break
            except DBAPIError:
                pass
            while True:
                try:
                    there = is_there(engines[at], i)
                    break
                except DBAPIError:
                    at = (at + 1) % len(engines)
                    time.sleep(0.05)
        print("done", i, flush=True)


{"features": features, "work": work}[sys.argv[1]]()
