defmodule Blanket.Creation do
  @moduledoc false

  # Of several processes that want the same table, one creates it. A creation is a process that lives
  # for as long, so that the others can wait for its end, however it comes.

  use GenServer

  alias Blanket.Application

  @doc """
  Runs `create` when no other process creates what is kept as `ref`.
  """
  @spec alone(term, (() -> answer)) :: answer | {:error, {:not_started, :blanket}}
        when answer: term
  def alone(ref, create) do
    case start(ref) do
      {:ok, creation} ->
        try do
          create.()
        after
          GenServer.cast(creation, :over)
        end

      {:error, {:already_started, creation}} ->
        if mine?(ref) do
          create.()
        else
          await_end(creation)
          alone(ref, create)
        end

      {:error, _} ->
        with :ok <- Application.await_children(), do: alone(ref, create)
    end
  end

  defp start(ref) do
    GenServer.start(__MODULE__, self(), name: {:via, Registry, {Blanket.Creating, ref, self()}})
  rescue
    # The registry is being started again.
    error in ArgumentError -> {:error, error}
  end

  defp mine?(ref), do: match?([{_creation, me}] when me == self(), lookup(ref))

  defp lookup(ref) do
    Registry.lookup(Blanket.Creating, ref)
  rescue
    ArgumentError -> []
  end

  defp await_end(creation) do
    monitor = Process.monitor(creation)

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> :ok
    end
  end

  @impl true
  def init(creator), do: {:ok, Process.monitor(creator)}

  @impl true
  def handle_cast(:over, monitor), do: {:stop, :normal, monitor}

  @impl true
  def handle_info({:DOWN, monitor, :process, _pid, _reason}, monitor),
    do: {:stop, :normal, monitor}

  def handle_info(_message, monitor), do: {:noreply, monitor}
end
