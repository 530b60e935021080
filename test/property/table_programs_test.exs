defmodule Blanket.TableProgramsTest do
  use ExUnit.Case, async: true

  import Blanket.Property

  alias Blanket.TablePrograms

  # Of each type. On average, a program has half as many commands as it may have.
  @programs 320
  @length 400

  for type <- [:set, :ordered_set, :bag, :duplicate_bag] do
    test "programs on a #{type} do as on :ets" do
      commands =
        counting(fn ->
          program = TablePrograms.program(unquote(type), @length)
          check(program, @programs, &TablePrograms.run/1, &TablePrograms.present/1)
        end)

      assert commands > 50_000
    end
  end

  test "new reads its options as :ets does" do
    check(TablePrograms.new(), 3000, &TablePrograms.run_new/1)
  end
end
